"""The card: what the hub reads of it, what it tells of a run, and what it keeps to itself."""

import re

import huggingface_hub
import pytest
import yaml
from conftest import write_run

import kzoo
from kzoo.sharing.card import Subject, escaped, write_card
from kzoo.sharing.training import Training, public, quoted
from kzoo.training import TrainConfig
from kzoo.training.run import RunFolder


@pytest.fixture(scope="session")
def models(detector, segmenter):
    return {"detector": kzoo.load(detector), "segmenter": kzoo.load(segmenter)}


@pytest.fixture
def card(models, request):
    """Makes the card of a run; further fields of the subject, by name, and options of the run."""

    def make(run="detector", **fields):
        training = Training.of(RunFolder(request.getfixturevalue(run)))
        return write_card(Subject("street", "hf://somebody/street", models[run], training, **fields))

    return make


def head(card: str) -> dict:
    """What the hub reads, also by its own reader."""
    _, front, _ = card.split("---\n", 2)
    content = yaml.safe_load(front)
    assert huggingface_hub.ModelCard(card).data.to_dict() == content
    return content


def other_run(tmp_path, **args):
    """What is told of a run with other entries in its `args.yaml`."""
    folder = RunFolder(tmp_path / "run")
    folder.write_args(
        {"model": "yolov3-tiny", "data": "street", "val": None, **TrainConfig().to_dict(), **args}
    )
    folder.write_results([{"epoch": 1, "loss": 2.0}])
    return Training.of(folder)


def test_a_detectors_card(card):
    text = card(licence="apache-2.0", files={"model.keras": 1234567}, pictures={"Curves": "results.png"})
    front = head(text)
    assert front["library_name"] == "keras" and front["pipeline_tag"] == "object-detection"
    assert front["license"] == "apache-2.0" and front["tags"] == ["kzoo", "object-detection", "yolov3-tiny"]
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"] == {"name": "street", "type": "street", "split": "val"}
    assert {one["type"]: one["value"] for one in result["metrics"]} == {"map": 0.3, "map50": 0.512}
    for words in (
        'kzoo.load("hf://somebody/street")',
        'model.detect("photo.jpg")',
        "kzoo predict hf://somebody/street photo.jpg",
        "kzoo train yolov3-tiny --data street --epochs 3 --image-size 64x64 --width 0.1",
        "| `width` | `0.1` | Factor of the number of channels",
        "Of the part `val` of `street`, after epoch 2",
        "IoU .50 (mAP50) | 0.512 |",
        "64 x 64 pixels",
        '3: 0 car, 1 a: b \\# c, 2 say "x\\|y"',
        "| `model.keras` | 1,234,567 |",
        "![Curves](results.png)",
        "--errors",
        "arXiv:1804.02767",
    ):
        assert words in text, words
    assert "secret" not in text and "/home" not in text


def test_a_segmenters_card(card):
    text = card("segmenter")
    front = head(text)
    assert front["pipeline_tag"] == "image-segmentation" and "license" not in front
    metrics = {one["type"]: one["value"] for one in front["model-index"][0]["results"][0]["metrics"]}
    assert metrics == {"mean_iou": 0.4, "dice": 0.5, "boundary_f1": 0.3}
    for words in (
        'model.segment("photo.jpg")',
        "--loss ce+dice",
        "mean IoU",
        "has not stated one",
        "--data PATH\n",
    ):
        assert words in text, words
    assert "--errors" not in text


def test_what_the_user_knows_is_told(card):
    assert "## Known failures and limits\n\nMisses *cars* at night.\n\n## Files" in card(
        notes="Misses *cars* at night.\n"
    )


@pytest.mark.parametrize(
    "name", ["a: b", "#1", "- x", "yes", "null", "{a}", "'\"", "@x", "x\ny", "1.0", "", "---", "Straße", "%"]
)
def test_any_name_makes_sound_yaml(name, models):
    training = Training("yolov3-tiny", name, None, {}, 1, {"epoch": 1.0, "val_map": 0.5})
    front = head(write_card(Subject(name, "hf://a/b", models["detector"], training)))
    assert front["model-index"][0]["name"] == name
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == (name or "unnamed")


def test_what_was_not_measured_is_no_score(models, tmp_path):
    training = other_run(tmp_path)
    text = write_card(Subject("x", "hf://a/b", models["detector"], training))
    assert "model-index" not in head(text) and "None were measured" in text
    text = write_card(Subject("x", "hf://a/b", models["detector"]))
    assert "That was not recorded" in text and "None were measured" in text


def test_classifiers_have_a_card():
    model = kzoo.build("darknet53", num_classes=2, width=0.1, depth=0.1, image_size=64)
    text = write_card(Subject("x", "hf://a/b", model))
    assert head(text)["pipeline_tag"] == "image-classification" and "model.predict(images)" in text


def commanded(line: str) -> dict:
    """The options that the real command line makes of a command."""
    import shlex

    import typer

    from kzoo.cli import main

    command = typer.main.get_command(main.app).commands["train"]
    context = command.make_context("train", shlex.split(line)[2:])
    written = {n for n in context.params if context.get_parameter_source(n).name == "COMMANDLINE"}
    return {name: context.params[name] for name in written}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "sgd", "momentum": 0.5, "nesterov": False, "learning_rate": 0.25},
        {"weights": "/home/me/runs/best.keras", "learning_rate": 0.001, "stop_at": None},
        {"augment": ["fliplr", "hsv"], "anchors": [8.0, 9.0, 20.0, 22.0], "sizes": [[64, 64], [96, 128]]},
        {"multi_scale": True, "ema": False, "image_size": [64, 96], "bits": 12, "balance": 0.2},
        {"loss": "ce+dice", "schedule": "step", "epsilon": 1e-8, "precision": "float32", "seed": 7},
        {"head": {"focal_gamma": 2.0, "nms_kind": "diou", "spp": True}},
    ],
)
def test_the_command_is_the_one_that_trained_it(options, tmp_path):
    training = other_run(tmp_path, **options)
    language, line = training.command
    assert language == "console"
    given = commanded(line)
    assert given.pop("model") == "yolov3-tiny" and given.pop("data") == "street"
    given["head"] = dict(given.pop("head", []))
    shown = TrainConfig(**given).to_dict()
    wanted = {name: public(value) for name, value in TrainConfig(**options).to_dict().items()}
    assert shown == wanted


def test_what_no_command_says_is_python(tmp_path):
    steps = {"policy": "steps", "steps": [10, 20], "scales": [0.1, 0.1]}
    language, code = other_run(tmp_path, schedule=steps, model="/home/me/yolo.cfg").command
    assert language == "python" and f"kzoo.train('yolo.cfg', 'street', schedule={steps!r})" in code
    language, code = other_run(tmp_path, data="<Shapes>", val="<Shapes>").command
    assert language == "python" and code.endswith("kzoo.train('yolov3-tiny', data, val=val)")
    training = other_run(tmp_path, val="<Shapes>", seed=3)
    assert training.command[1].endswith("kzoo.train('yolov3-tiny', 'street', val=val, seed=3)")
    assert training.validation == "a dataset without a name"


def test_which_images_the_scores_are_of(tmp_path):
    for args, words in (
        ({}, "the part `val` of `street`"),
        ({"val_split": "dev"}, "the part `dev` of `street`"),
        ({"val": "/home/me/road"}, "`road`"),
        ({"val": "road", "val_split": "dev"}, "the part `dev` of `road`"),
    ):
        assert other_run(tmp_path, **args).validation == words


def test_learning_rates_that_follow_from_others_are_not_told(tmp_path):
    assert other_run(tmp_path).options == {}
    assert set(other_run(tmp_path, optimizer="sgd", learning_rate=0.01).options) == {"optimizer"}
    assert set(other_run(tmp_path, weights="coco", learning_rate=0.001).options) == {"weights"}
    assert other_run(tmp_path, model="hf://a/b", learning_rate=0.001).options == {}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("/home/me/street", "street"),
        ("../data/street/", "street"),
        ("C:\\Users\\me\\street", "street"),
        ("street", "street"),
        ("shapes:500:128", "shapes:500:128"),
        ("hf://a/b", "hf://a/b"),
        ("./", "data"),
        ({"a": ["/x/y", 1]}, {"a": ["y", 1]}),
        (None, None),
    ],
)
def test_of_paths_the_last_part_alone_is_told(value, told):
    assert public(value) == told


def test_texts_are_shown_as_they_are():
    assert escaped("a|b <i>_*`") == r"a\|b \<i\>\_\*\`" and escaped("a\nb") == "a\\\\nb"
    assert quoted("a`b") == "`` a`b ``" and quoted("a\nb") == "`a b`"


def test_damaged_runs_take_a_line(tmp_path):
    folder = RunFolder(write_run(tmp_path / "run", "yolov3-tiny", [{"epoch": 1, "loss": 1.0}], ["car"]))
    results = folder.results.read_text()
    for content, words in (
        (results.replace("1,", "one,", 1), ":2: not a line of numbers"),
        (results + "1,2,3\n", ":3: not a line of numbers"),
        ("loss\n1\n", ":2: has no epoch"),
        ("epoch,loss\n", "has no epoch; train at least one"),
    ):
        folder.results.write_text(content)
        with pytest.raises(ValueError, match=re.escape(words)) as caught:
            kzoo.push(folder.path, tmp_path / "shared")
        assert str(caught.value).startswith(str(folder.results)) and "\n" not in str(caught.value)
    folder.results.unlink()
    with pytest.raises(FileNotFoundError):
        kzoo.push(folder.path, tmp_path / "shared")
    assert not (tmp_path / "shared").exists()
