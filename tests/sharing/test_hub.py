"""`hf://USER/NAME` in the place of a path: fetched once, looked through, opened everywhere; every fault in one line."""

import io
import json
import zipfile

import cv2
import keras
import numpy as np
import pytest
from conftest import NOBODY, point_at
from huggingface_hub import constants

import kzoo
from kzoo.data.formats.shapes import Shapes
from kzoo.training.config import TrainConfig
from kzoo.training.origins import Saved, origin_of
from kzoo.weights.hub import Address, is_address, local_file

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
STREET = "hf://somebody/street"
pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture
def street(hub, detector):
    """The detector's repository, with a second file in a folder of it."""
    model = (detector / "best.keras").read_bytes()
    return hub.add("somebody/street", {"model.keras": model, "other/two.keras": model, "yolo.cfg": b"[net]"})


def refused(error, function, *arguments, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    said = str(caught.value)
    assert said.isprintable() and len(said) < 600, said
    return said


def same(one, other):
    one, other = (model.predict_on_batch(IMAGES) for model in (one, other))
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf://a/b", ("a/b", None, None)),
        ("hf://a/b@v1.0", ("a/b", "v1.0", None)),
        ("hf://a-1/b_2.c/dir/m.keras", ("a-1/b_2.c", None, "dir/m.keras")),
        ("hf://a/b@0a1b/m.keras", ("a/b", "0a1b", "m.keras")),
    ],
)
def test_addresses(text, parts):
    address = Address.parse(text)
    assert (address.repository, address.revision, address.file) == parts
    assert str(address) == text and is_address(text)
    assert Address.parse(text.replace("//", "/")) == address  # as Path writes it


@pytest.mark.parametrize(
    "text", ["hf://", "hf://a", "hf://a/", "hf://a/b@", "hf:///a/b", "hf://a b/c", "hf://a/b@/c"]
)
def test_what_is_no_address(text):
    said = refused(ValueError, local_file, text)
    assert "give hf://USER/NAME, hf://USER/NAME@REVISION or hf://USER/NAME/FILE.keras" in said
    assert is_address(text)


def test_what_is_a_path_stays_one(tmp_path):
    assert local_file(tmp_path) is tmp_path and local_file(None) is None and local_file("coco") == "coco"


def test_fetched_once_and_then_without_a_network(hub, street, detector, monkeypatch):
    model = kzoo.load(STREET)
    assert same(model, kzoo.load(detector))
    fetched = [path for method, path in hub.asked if method == "GET" and "stored" in path]
    assert len(fetched) == 1
    kzoo.load(STREET)
    assert [path for method, path in hub.asked if method == "GET" and "stored" in path] == fetched
    point_at(monkeypatch, NOBODY)
    assert same(kzoo.load(STREET), model)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert local_file(STREET).is_file()


def test_other_files_and_revisions(street):
    assert local_file("hf://somebody/street/other/two.keras").name == "two.keras"
    assert local_file(f"{STREET}@{street.branches['main']}") == local_file(STREET)


@pytest.mark.long
def test_weights_of_a_new_model(street, detector):
    model = kzoo.build("yolov3-tiny", width=0.1, weights=STREET)
    assert same(model, kzoo.load(detector)) and model.names == ["car", "a: b # c", 'say "x|y"']
    other = kzoo.build("yolov3-tiny", num_classes=1, width=0.1, image_size=64, backbone_weights=STREET)
    name = next(
        layer.name for layer in other.network.layers if layer.name.startswith("backbone_") and layer.weights
    )
    for one, two in zip(
        other.network.get_layer(name).weights, model.network.get_layer(name).weights, strict=True
    ):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, two)))


def test_a_training_starts_from_it(street):
    origin = origin_of(STREET, {})
    data = Shapes(4, (64, 64))
    assert isinstance(origin, Saved) and origin.task == "detect"
    model = origin.build(data, TrainConfig())
    assert model.names == list(data.classes) and origin.source(model) == STREET  # what args.yaml says


@pytest.mark.long
def test_commands_take_it(street, kzoo_command, tmp_path):
    cv2.imwrite(str(tmp_path / "photo.jpg"), IMAGES[0])
    status, _, err = kzoo_command("predict", STREET, "photo.jpg", "--out", "found", "--json")
    assert (status, err) == (0, "") and json.loads((tmp_path / "found" / "predictions.json").read_text())
    status, _, err = kzoo_command("evaluate", STREET, "--data", "shapes:8:64", "--json")
    assert status == 1 and "classes" in err and err.count("\n") == 1  # the shapes are no cars
    status, _, err = kzoo_command("convert", STREET, "out.keras")
    assert status == 0, err
    status, _, err = kzoo_command("convert", STREET, "out.keras")  # again, over a file that is there
    assert status == 0 and same(kzoo.load("out.keras"), kzoo.load(STREET))
    status, _, err = kzoo_command("predict", "hf://somebody/none", "photo.jpg")
    assert (
        status == 1
        and err.count("\n") == 1
        and err.startswith("error: hf://somebody/none: no such repository")
    )


@pytest.mark.slow
def test_an_export_has_the_repositorys_name(street, kzoo_command, tmp_path):
    status, _, err = kzoo_command("export", STREET)
    assert status == 0, err
    assert (tmp_path / "saved_models" / "street" / "1" / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        (
            "hf://somebody/none",
            FileNotFoundError,
            "no such repository, or a private one; look at its name, or log in",
        ),
        ("hf://somebody/secret", FileNotFoundError, "no such repository, or a private one"),
        ("hf://somebody/gated", PermissionError, "its owner says who may have it; ask for that on http"),
        (
            "hf://somebody/street@v9",
            FileNotFoundError,
            "no revision 'v9' in it; give a branch, a tag or a commit",
        ),
        (
            "hf://somebody/empty",
            FileNotFoundError,
            "no model.keras in this repository; kzoo push has not written it",
        ),
        (
            "hf://somebody/street/x.keras",
            FileNotFoundError,
            "no x.keras in this repository; look at the path",
        ),
        (
            "hf://somebody/street/yolo.cfg",
            ValueError,
            "of the hub .keras files alone are opened; download yolo.cfg",
        ),
        ("hf://some--body/street", ValueError, "Cannot have -- or .."),
    ],
)
def test_faults_take_a_line(hub, street, address, error, words):
    hub.add("somebody/secret", {}, private=True)
    hub.add("somebody/gated", {}, gated=True)
    hub.add("somebody/empty", {"README.md": b"# Nothing"})
    said = refused(error, kzoo.load, address)
    assert said.startswith(f"{address}: ") and words in said


def test_private_models_open_for_those_who_may(hub, street, login):
    street.private = True
    assert kzoo.load(STREET).task == "detect"


def test_faults_of_the_net_take_a_line(hub, street, monkeypatch, capfd):
    hub.cut = True
    said = refused(OSError, kzoo.load, STREET)
    assert said.startswith(f"{STREET}: cannot be reached (")
    hub.cut = False
    for status, words in ((503, "refused by the hub (503"), (401, "the hub does not know this token (401)")):
        hub.faults = {("HEAD", "resolve"): (status, "Come back later")}
        assert words in refused(OSError, kzoo.load, STREET)
    point_at(monkeypatch, NOBODY)
    said = refused(OSError, kzoo.load, STREET)
    assert said.startswith(f"{STREET}: cannot be reached (") and "look to the network, or download it" in said
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE keeps kzoo from the hub; unset it" in refused(OSError, kzoo.load, STREET)
    assert capfd.readouterr().err == ""


def test_a_damaged_copy_is_fetched_anew(hub, street):
    path = local_file(STREET)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.resolve().write_bytes(content)
    said = refused(ValueError, kzoo.load, STREET)
    assert said == f"{STREET}: damaged (model.weights.h5); remove {path.resolve()}, and it is fetched anew"
    path.resolve().unlink()
    assert kzoo.load(STREET).task == "detect"


def keras_file(change) -> bytes:
    """A `.keras` file whose configuration has been changed."""
    model = kzoo.build("yolov3-tiny", num_classes=1, width=0.1, image_size=64)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    change(config)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")
    return content.getvalue()


def layers(config):
    return config["config"]["network"]["config"]["layers"]


LAMBDA = {"class_name": "__lambda__", "config": {"value": "gAN9cQAu"}}
STRANGE = {
    "a layer of code": lambda c: layers(c)[1].update(class_name="Lambda"),
    "code": lambda c: layers(c)[1]["config"].update(activation=LAMBDA),
    "a pickled module": lambda c: layers(c)[1].update(class_name="TorchModuleWrapper"),
    "a program's own class": lambda c: layers(c)[1].update(registered_name="mine>Layer"),
    "a class of another package": lambda c: layers(c)[1].update(module="os.path", class_name="Join"),
    "a file of this machine": lambda c: layers(c)[1].update(class_name="StringLookup"),
    "a function that is no layer's": lambda c: layers(c)[1]["config"].update(
        activation={"class_name": "function", "module": "keras.utils", "config": "get_file"}
    ),
    "a loader": lambda c: layers(c)[1].update(module="keras.models", class_name="load_model"),
    "another class of kzoo": lambda c: c["config"]["head"].update(registered_name="kzoo>Nothing"),
}


@pytest.mark.parametrize("what", STRANGE)
def test_what_would_run_code_is_not_opened(hub, what):
    hub.add("somebody/evil", {"model.keras": keras_file(STRANGE[what])})
    keras.config.enable_unsafe_deserialization()  # for the whole program, as somebody may need it for files of his own
    try:
        said = refused(ValueError, kzoo.load, "hf://somebody/evil")
    finally:
        keras.src.backend.common.global_state.set_global_attribute("safe_mode_saving", None)
    assert said.startswith("hf://somebody/evil: asks for ") and "do not open it" in said


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"[" * 10**5, b"<html>Sign in</html>"])
def test_what_is_no_model_is_damaged(hub, content):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", content)
    for whole in (content, archive.getvalue()):
        hub.add("somebody/broken", {"model.keras": whole})
        said = refused(ValueError, kzoo.load, "hf://somebody/broken")
        assert said.startswith("hf://somebody/broken: damaged (")


def test_a_configuration_that_would_fill_the_memory_is_not_read(hub):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", b" " * 2**27)
    hub.add("somebody/bomb", {"model.keras": archive.getvalue()})
    assert "config.json would become 134217728 bytes" in refused(ValueError, kzoo.load, "hf://somebody/bomb")


def test_files_of_keras_itself_are_refused(hub, tmp_path):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "dense.keras")
    hub.add("somebody/dense", {"model.keras": (tmp_path / "dense.keras").read_bytes()})
    assert "not a model of kzoo" in refused(ValueError, kzoo.load, "hf://somebody/dense")
