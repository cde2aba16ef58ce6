"""What box heads share: settings that are checked, kept and saved, and every suppression in every export."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.darknet.writing import describe
from kzoo.deploy import open_export
from kzoo.heads import ClassifyHead, DetectionHead, GridHead, YoloHead
from kzoo.inference.detect import with_nms
from kzoo.model import ZooModel
from kzoo.ops.nms import KINDS

SIZE = (64, 96)
ANCHORS = [[[30, 40], [64, 30], [50, 70]]]


def made(project=False, **arguments):
    """A tiny detector with many boxes that overlap."""
    keras.utils.set_random_seed(0)
    head = YoloHead(2, ANCHORS, (16,), project=project, max_detections=110, candidates=120, **arguments)
    inputs = keras.Input((*SIZE, 3), name="images")
    x = keras.layers.Rescaling(1 / 64)(inputs)
    network = keras.Model(inputs, [keras.layers.Conv2D(21, 16, 16)(x)], name="network")
    return ZooModel(network, head, SIZE, names=["a", "b"], name="small")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)


FORMS = {"saved_model": "", "tflite": ".tflite", "onnx": ".onnx"}


def kinds_and_forms():
    """Quick is one kind of much arithmetic in the form of fewest operators, and the usual kind in all forms."""
    for kind in KINDS:
        for form, suffix in FORMS.items():
            marks = () if kind == "greedy" or (kind, form) == ("weighted", "tflite") else pytest.mark.slow
            yield pytest.param(kind, suffix, id=f"{kind}-{form}", marks=marks)


@pytest.mark.long
@pytest.mark.parametrize("kind, suffix", kinds_and_forms())
def test_every_kind_in_every_export_finds_what_keras_finds(kind, suffix, images, tmp_path):
    model = made()
    expected = with_nms(model, kind).predict_on_batch(images)
    given = open_export(kzoo.export(model, tmp_path / f"model{suffix}", nms=kind)).predict_on_batch(images)
    assert set(given) == set(expected)
    np.testing.assert_array_equal(given["labels"], expected["labels"])
    for key in ("boxes", "scores"):
        np.testing.assert_allclose(given[key], expected[key], rtol=1e-4, atol=1e-4)
    found = (expected["labels"] >= 0).sum(1)
    assert (found > 10).all() and (kind == "greedy") == np.allclose(
        expected["scores"], model.predict_on_batch(images)["scores"]
    )


def test_with_nms_leaves_the_model_as_it_is(images):
    model = made(project=True)
    before = model.predict_on_batch(images)
    other = with_nms(model, "soft-gaussian", sigma=0.3)
    assert other is not model and other.network is model.network
    assert (other.head.nms_kind, other.head.nms_sigma) == ("soft-gaussian", 0.3)
    assert (model.head.nms_kind, model.head.nms_sigma) == ("greedy", None)
    for one, two in zip(model.head.weights, other.head.weights, strict=True):
        np.testing.assert_array_equal(one, two)
    found = other.predict_on_batch(images)
    assert not np.allclose(found["scores"], before["scores"])
    assert np.array_equal(model.predict_on_batch(images)["scores"], before["scores"])
    assert with_nms(model, None) is model
    assert (other.names, other.image_size, other.name) == (model.names, model.image_size, model.name)


def test_a_kind_is_saved_with_its_model(images, tmp_path):
    model = made(project=True, nms_kind="matrix", nms_sigma=0.2, nms_threshold=0.6, class_agnostic=True)
    model.save(tmp_path / "model.keras")
    loaded = kzoo.load(tmp_path / "model.keras")
    assert loaded.head.nms_threshold == 0.6
    assert (loaded.head.nms_kind, loaded.head.nms_sigma, loaded.head.class_agnostic) == ("matrix", 0.2, True)
    for key, value in model.predict_on_batch(images).items():
        np.testing.assert_array_equal(loaded.predict_on_batch(images)[key], value)


def test_what_heads_start_with():
    """The settings of files from before there were other kinds, and of those that give none."""
    for head in (YoloHead(2, ANCHORS, (16,)), GridHead(2, 3, 2, SIZE)):
        assert isinstance(head, DetectionHead) and head.task == "detect"
        settings = (head.nms_threshold, head.score_threshold, head.max_detections, head.candidates)
        assert settings == (0.45, 0.001, 100, 512)
        assert (head.nms_kind, head.nms_beta, head.nms_sigma, head.class_agnostic) == (
            "greedy",
            0.6,
            None,
            False,
        )
    old = {"num_classes": 2, "anchors": ANCHORS, "strides": [16], "nms_kind": "diou", "nms_beta": 0.7}
    assert YoloHead.from_config(old).nms_beta == 0.7


def test_pairs_of_a_box_and_a_class_can_be_given():
    head = YoloHead(2, ANCHORS, (16,), max_detections=3)
    boxes = np.float32([[[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9]]])
    found = head.suppress(boxes, np.float32([[0.5, 0.4, 0.3]]), np.int32([[1, 1, 0]]))
    assert keras.ops.convert_to_numpy(found["labels"]).tolist() == [[1, 0, -1]]
    assert keras.ops.convert_to_numpy(found["scores"])[0] == pytest.approx([0.5, 0.3, 0])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"nms_kind": "softnms"}, "nms_kind='softnms' is unknown; use greedy, diou, soft-linear"),
        ({"nms_threshold": 1.5}, "nms_threshold=1.5: give a number, 0 to 1"),
        ({"nms_threshold": float("nan")}, "nms_threshold=nan"),
        ({"score_threshold": -0.1}, "score_threshold=-0.1: give a number, 0 to 1"),
        ({"nms_beta": -1.0}, "nms_beta=-1.0"),
        ({"nms_beta": float("inf")}, "nms_beta=inf"),
        ({"nms_sigma": 0.0}, "nms_sigma=0.0: give a number, above 0"),
        ({"nms_sigma": float("nan")}, "nms_sigma=nan"),
        ({"max_detections": 0}, "max_detections=0: give a whole number, 1 to"),
        ({"candidates": 2.5}, "candidates=2.5"),
    ],
)
def test_settings_out_of_range_are_named(arguments, text):
    for make in (
        lambda: YoloHead(2, ANCHORS, (16,), **arguments),
        lambda: GridHead(2, 3, 2, SIZE, **arguments),
    ):
        with pytest.raises(ValueError) as error:
            make()
        assert text in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_kind_is_refused_wherever_it_is_asked_for(tmp_path):
    with pytest.raises(ValueError, match="nms='soft': give greedy"):
        kzoo.export(made(), tmp_path / "model.onnx", nms="soft")
    assert not (tmp_path / "model.onnx").exists()


def test_an_export_has_its_suppression_inside(images, tmp_path):
    export = open_export(kzoo.export(made(), tmp_path / "model.tflite", nms="matrix"))
    assert export.metadata.decoding["nms_kind"] == "matrix"
    assert with_nms(export, "matrix") is export and with_nms(export, None) is export
    with pytest.raises(
        ValueError, match=r"nms='weighted': .*model\.tflite has its suppression inside, matrix; export"
    ):
        with_nms(export, "weighted")


def test_a_classifier_has_no_suppression():
    inputs = keras.Input((*SIZE, 3), name="images")
    network = keras.Model(inputs, [keras.layers.Conv2D(5, SIZE, SIZE)(inputs)])
    model = ZooModel(network, ClassifyHead(5, project=False), SIZE, name="classes")
    with pytest.raises(ValueError, match="nms='greedy': classes is for the task 'classify'; leave it out"):
        with_nms(model, "greedy")


def test_a_cfg_has_no_other_kinds_than_darknet():
    model = kzoo.build("yolov3-tiny", num_classes=2, image_size=(64, 64), width=0.25)
    assert "nms_kind=greedynms" in describe(with_nms(model, "diou"))[0]
    with pytest.raises(
        ValueError, match="nms_kind='matrix' is no kind of Darknet's; write the model with greedy"
    ):
        describe(with_nms(model, "matrix"))


@pytest.mark.long
def test_commands_take_a_kind(tmp_path, monkeypatch):
    """`--nms` at evaluate, export and predict; an export refuses another."""
    from typer.testing import CliRunner

    from kzoo.cli.main import app

    monkeypatch.chdir(tmp_path)
    made(project=True).save("small.keras")
    keep = CliRunner().invoke
    done = keep(app, ["export", "small.keras", "--out", "small.tflite", "--nms", "soft-linear"])
    assert done.exit_code == 0, done.output
    assert open_export("small.tflite").metadata.decoding["nms_kind"] == "soft-linear"
    keras.utils.save_img("noise.png", np.random.default_rng(0).integers(0, 256, (*SIZE, 3)))
    for model, kind, fault in (
        ("small.keras", "weighted", ""),
        ("small.keras", "mean", "--nms"),
        ("small.tflite", "greedy", "small.tflite has its suppression inside, soft-linear"),
    ):
        done = keep(app, ["predict", model, "noise.png", "--nms", kind, "--no-pictures"])
        assert (done.exit_code == 0) == (not fault) and fault in f"{done.exception} {done.output}"


@pytest.mark.long
def test_evaluate_takes_a_kind():
    from kzoo.data.formats.shapes import Shapes

    data = Shapes(2, image_size=SIZE)
    names = list(data.classes)
    model = kzoo.build("yolov3-tiny", num_classes=len(names), image_size=(64, 96), width=0.25, names=names)
    assert kzoo.evaluate(model, data, nms="matrix").map50 >= 0
    with pytest.raises(ValueError, match="nms='none': give greedy"):
        kzoo.evaluate(model, data, nms="none")
