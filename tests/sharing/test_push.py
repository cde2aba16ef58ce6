"""`kzoo push`: a folder or a repository from a run folder, which opens again as the model that it was."""

import json

import keras
import numpy as np
import pytest
from huggingface_hub import constants

import kzoo
from kzoo.sharing import pushing

pytestmark = pytest.mark.usefixtures("untraced")
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
FILES = {
    "README.md", "confusion.png", "kzoo.json", "model.keras", "results.csv", "results.png", "val_predictions.jpg",
}  # fmt: skip


def predictions(model):
    return {name: keras.ops.convert_to_numpy(value) for name, value in model.predict_on_batch(IMAGES).items()}


def assert_same(model, run):
    own, other = predictions(model), predictions(kzoo.load(run))
    for name in own:
        np.testing.assert_array_equal(own[name], other[name])


def refused(error, *arguments, **options):
    with pytest.raises(error) as caught:
        kzoo.push(*arguments, **options)
    said = str(caught.value)
    assert said.isprintable() and len(said) < 500, said
    return said


@pytest.mark.long
def test_a_folder_opens_as_the_model(detector, tmp_path):
    place = kzoo.push(detector, tmp_path / "shared" / "street")
    assert place == str(tmp_path / "shared" / "street")
    assert {path.name for path in (tmp_path / "shared" / "street").iterdir()} == FILES
    model = kzoo.load(place)
    assert model.names == ["car", "a: b # c", 'say "x|y"']
    assert_same(model, detector)
    about = json.loads((tmp_path / "shared" / "street" / "kzoo.json").read_text())
    assert about["names"] == model.names and about["task"] == "detect" and about["image_size"] == [64, 64]
    assert about["architecture"] == "yolov3-tiny" and about["parameters"] == model.count_params()
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["street"]  # nothing half-written


@pytest.mark.parametrize("run", ["detector", "segmenter"])
def test_to_the_hub_and_back(run, hub, login, request, capfd):
    folder = request.getfixturevalue(run)
    assert kzoo.push(folder, "hf://somebody/street") == "hf://somebody/street"
    files = hub.repositories["somebody/street"].files()
    assert set(files) - {".gitattributes"} == FILES
    assert len(hub.repositories["somebody/street"].commits) == 2  # one that made it, and all files in another
    assert_same(kzoo.load("hf://somebody/street"), folder)
    assert capfd.readouterr().err == ""


@pytest.mark.long
def test_a_second_push_is_a_second_commit(detector, segmenter, hub, login):
    kzoo.push(detector, "hf://somebody/street")
    first = hub.repositories["somebody/street"].branches["main"]
    kzoo.push(segmenter, "hf://somebody/street")
    assert kzoo.load("hf://somebody/street").task == "segment"
    assert kzoo.load(f"hf://somebody/street@{first}").task == "detect"


@pytest.mark.long
def test_a_branch(detector, hub, login):
    assert kzoo.push(detector, "hf://somebody/street@small") == "hf://somebody/street@small"
    kzoo.push(detector, "hf://somebody/street@small", licence="mit")
    repository = hub.repositories["somebody/street"]
    assert set(repository.files()) == {".gitattributes"} and "model.keras" in repository.files("small")
    assert b"license: mit" in repository.files("small")["README.md"]
    assert_same(kzoo.load("hf://somebody/street@small"), detector)


def test_private_repositories(detector, hub, login):
    kzoo.push(detector, "hf://somebody/mine", private=True)
    assert hub.repositories["somebody/mine"].private
    hub.add("somebody/open", {})
    said = refused(ValueError, detector, "hf://somebody/open", private=True)
    assert "there already and public, so that private=True has no effect" in said
    assert hub.repositories["somebody/open"].files() == {}


def test_a_model_file_alone(detector, tmp_path):
    alone = tmp_path / "street.keras"
    alone.write_bytes((detector / "best.keras").read_bytes())
    place = kzoo.push(alone, tmp_path / "shared")
    assert {path.name for path in (tmp_path / "shared").iterdir()} == {
        "README.md",
        "kzoo.json",
        "model.keras",
    }
    assert "That was not recorded" in (tmp_path / "shared" / "README.md").read_text()
    assert_same(kzoo.load(place), detector)
    kzoo.push(detector / "best.keras", tmp_path / "whole")  # its run folder lies around it
    assert {path.name for path in (tmp_path / "whole").iterdir()} == FILES


def test_pictures_of_the_dataset_stay_where_they_are(detector, tmp_path):
    kzoo.push(detector, tmp_path / "shared", predictions=False)
    files = {path.name for path in (tmp_path / "shared").iterdir()}
    assert files == FILES - {"val_predictions.jpg"}
    assert "val_predictions" not in (tmp_path / "shared" / "README.md").read_text()


def test_folders_of_others_are_left_alone(detector, tmp_path):
    target = tmp_path / "shared"
    target.mkdir()
    kzoo.push(detector, target)  # an empty one
    said = refused(FileExistsError, detector, target)
    assert said.startswith(f"{target}: holds a model that was pushed there") and "exist_ok" in said
    kzoo.push(detector, target, licence="mit", exist_ok=True)
    assert "license: mit" in (target / "README.md").read_text()
    (target / "notes.txt").write_text("the user's own")
    said = refused(FileExistsError, detector, target, exist_ok=True)
    assert "holds notes.txt" in said
    for place in (detector, tmp_path):
        said = refused(FileExistsError, detector, place, exist_ok=True)
        assert "kzoo push has not written it" in said
    file = tmp_path / "file"
    file.write_text("")
    assert "kzoo push has not written it" in refused(FileExistsError, detector, file)


def test_what_fails_leaves_nothing(detector, tmp_path, monkeypatch):
    def fail(_):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(pushing, "write_card", fail)
    said = refused(OSError, detector, tmp_path / "shared")
    assert "No space left on device" in said and "shared" in said
    assert [path.name for path in tmp_path.iterdir() if path.name != "hub"] == []


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        ("shared", {"private": True}, "private=True: has an effect with target=hf://USER/NAME alone"),
        ("hf://a/b", {"exist_ok": True}, "exist_ok=True: has an effect with target=a folder alone"),
        ("shared", {"licence": "Apache 2.0"}, "licence='Apache 2.0': give a name as Hugging Face has them"),
        ("hf://somebody", {}, "hf://somebody: no address of a repository; give hf://USER/NAME"),
        ("hf://a/b/model.keras", {}, "give the repository alone, hf://a/b"),
        ("hf://a/b c", {}, "no address of a repository"),
        ("https://huggingface.co/a/b", {}, "an address, not a file or folder"),
        ("", {}, "target='': give the path of a folder, or hf://USER/NAME"),
    ],
)
def test_wrong_arguments_take_a_line(detector, target, options, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words in refused(ValueError, detector, target, **options)


def test_runs_without_a_model_take_a_line(tmp_path):
    assert "no model to share there" in refused(FileNotFoundError, tmp_path, tmp_path / "shared")
    assert "no model to share there" in refused(FileNotFoundError, tmp_path / "no", tmp_path / "shared")
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"PK\x03\x04")
    assert "Keras cannot read this model" in refused(ValueError, broken, tmp_path / "shared")
    assert not (tmp_path / "shared").exists()


def test_nobody_is_logged_in(detector, hub):
    said = refused(PermissionError, detector, "hf://somebody/street")
    assert (
        said
        == "hf://somebody/street: nobody is logged in to Hugging Face; log in with `hf auth login`, or set HF_TOKEN"
    )
    assert hub.asked == []


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (("POST", "create"), 403, "this token may not do that (403"),
        (("POST", "create"), 500, "refused by the hub (500"),
        (("POST", "commit"), 403, "with a token that may write"),
        (("POST", "commit"), 413, "refused by the hub (413"),
        (("PUT", "stored"), 403, "this token may not do that (403"),
        (("POST", "preupload"), 404, "refused by the hub (404"),
    ],
)
def test_what_the_hub_refuses_takes_a_line(detector, hub, login, fault, status, words):
    hub.faults[fault] = (status, "You don't have the rights, or so")
    said = refused(OSError, detector, "hf://somebody/street")
    assert said.startswith("hf://somebody/street: ") and words in said and "You don't have the rights" in said


def test_a_token_that_is_none(detector, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert "the hub does not know this token (401)" in refused(OSError, detector, "hf://somebody/street")


def test_a_licence_that_the_hub_does_not_know(detector, hub, login):
    said = refused(ValueError, detector, "hf://somebody/street", licence="nonsense")
    assert '"license" must be one of [apache-2.0, mit]' in said


def test_no_network(detector, login):
    said = refused(OSError, detector, "hf://somebody/street")
    assert said.startswith("hf://somebody/street: cannot be reached (") and said.endswith(
        "look to the network, and push again"
    )


def test_no_hub_is_wanted(detector, login, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    said = refused(OSError, detector, "hf://somebody/street")
    assert said == "hf://somebody/street: HF_HUB_OFFLINE keeps kzoo from the hub; unset it"


def test_the_command(detector, hub, login, kzoo_command, tmp_path):
    (tmp_path / "notes.md").write_text("Misses cars at night.")
    status, out, err = kzoo_command(
        "push", detector, "hf://somebody/street", "--licence", "mit", "--notes", "notes.md", "--private"
    )
    assert (status, err) == (0, "")
    assert out == "hf://somebody/street: open it with kzoo.load('hf://somebody/street')\n"
    assert b"Misses cars at night." in hub.repositories["somebody/street"].files()["README.md"]
    status, out, err = kzoo_command("push", detector, "shared", "--private")
    assert (status, err.count("\n")) == (1, 1) and "private=True: has an effect" in err
    status, out, err = kzoo_command("push", detector, "shared", "--notes", "none.md")
    assert (status, err) == (1, "error: none.md: No such file or directory\n")
