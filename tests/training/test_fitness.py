"""Options that have no effect, or do not fit data or model, are refused before anything is made."""

import keras
import pytest
from tiny_detector import SIDE

import kzoo
from kzoo.data.formats.shapes import Shapes
from kzoo.system import memory
from kzoo.training.config import TrainConfig
from kzoo.training.fitness import check_options, feature_bytes

# A value of each option that counts under some conditions only, and what goes without.
IDLE = [
    ({"momentum": 0.8}, "optimizer=sgd alone"),
    ({"nesterov": False}, "optimizer=sgd alone"),
    ({"beta_1": 0.8, "optimizer": "sgd"}, "optimizer=adamw alone"),
    ({"beta_2": 0.8, "optimizer": "sgd"}, "optimizer=adamw alone"),
    ({"epsilon": 1e-3, "optimizer": "sgd"}, "optimizer=adamw alone"),
    ({"ema_momentum": 0.9, "ema": False}, "ema=True alone"),
    ({"multi_scale": True, "sizes": [64, 96]}, "beside sizes="),
    ({"backbone_weights": "a.keras", "weights": "b.keras"}, "beside weights="),
    ({"pretrained": True, "weights": "b.keras"}, "beside weights="),
    ({"pretrain": "classify", "weights": "b.keras"}, "beside weights="),
    ({"pretrain_epochs": 3}, "without pretrain"),
    ({"pretrained": True, "backbone_weights": "b.keras"}, "beside backbone_weights="),
    ({"name": "a", "run": "b"}, "beside run='b'"),
    ({"runs": "a", "run": "b"}, "beside run='b'"),
    ({"exist_ok": True}, "without run"),
    ({"stop_at": 3}, "of a .cfg"),
    ({"stop_at": 3, "weights": "a.weights"}, "of a .cfg"),
    ({"close_mosaic": 3}, "augment='light'"),
    ({"close_mosaic": 3, "augment": ["flip"]}, "makes no picture of several"),
    ({"close_mosaic": 30, "augment": "mosaic", "epochs": 20}, "more than epochs=20"),
    ({"worker_kind": "process", "workers": 0}, "workers=0"),
    ({"loss": "ce"}, "is not for a detector"),
]
SEGMENTERS = [
    {"rectangular": True},
    {"anchors": "default"},
    {"anchors": [1, 2]},
    {"box_loss": "giou"},
]


def check(given, task="detect", is_new=True, is_cfg=False):
    check_options(given, TrainConfig.of(given), task, is_new, is_cfg)


@pytest.mark.parametrize(("given", "words"), IDLE)
def test_what_has_no_effect_is_refused(given, words):
    with pytest.raises(ValueError, match=words) as caught:
        check(given)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"leave|give"):
        check(given)


@pytest.mark.parametrize("given", SEGMENTERS)
def test_what_is_for_detectors_is_refused_with_segmenters(given):
    check(given)
    with pytest.raises(ValueError, match="is not for a segmenter; leave it out"):
        check(given, "segment")


def test_every_option_that_needs_another_is_tried():
    table = TrainConfig.options
    tried = {name for given, _ in IDLE for name in given} | {name for given in SEGMENTERS for name in given}
    assert {name for name, option in table.items() if option.needs or option.task} <= tried


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"optimizer": "sgd", "momentum": 0.8, "nesterov": False},
        {"exist_ok": False, "close_mosaic": 0, "patience": 3},
        {"exist_ok": True, "run": "x"},
        {"close_mosaic": 3, "augment": "mosaic"},
        {"worker_kind": "auto", "workers": 0},
    ],
)
def test_what_has_an_effect_passes(given):
    check(given)


def test_layers_of_no_weights_are_refused():
    check({"stop_at": 3, "weights": "a.weights"}, is_cfg=True)
    with pytest.raises(ValueError, match="stop_at=3: has no effect without weights"):
        check({"stop_at": 3}, is_cfg=True)


def test_anchors_of_a_network_that_has_its_own_are_refused():
    for places in ({"is_new": False}, {"is_cfg": True}):
        with pytest.raises(ValueError, match="anchors='auto': for a model by name only"):
            check({"anchors": "auto"}, **places)


def test_classifiers_have_no_runs():
    with pytest.raises(ValueError, match=r"not for .classify.; use model\.fit"):
        check({}, "classify")


@pytest.fixture
def small(monkeypatch):
    """A machine of 64 MB."""
    monkeypatch.setattr(memory, "machine_memory", lambda: 64_000_000)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 10**8}, "batch_size=100000000: give a whole number"),
        ({"accumulate": 1000}, "accumulate=1000: the run has 6 batches in all"),
        ({"burn_in": 100}, "burn_in=100: the run has 6 steps in all"),
        ({"sizes": [64, 65]}, r"image_size=\(65, 65\): height and width must be multiples of"),
        ({"image_size": 65}, "multiples of"),
        ({"momentum": 0.5}, "optimizer=sgd"),
        ({"augment": ""}, "augment='': give none, light"),
        ({"augment": ["flip", ""]}, "augment="),
        ({"head": {"iou_threshold": "abc"}}, "iou_threshold='abc': give a number, 0 to 1"),
        ({"head": {"candidate": 5}}, "did you mean candidates"),
        ({"head": {"num_classes": 5}}, "num_classes"),
        ({"box_loss": "l1"}, "box_loss='l1'"),
        ({"run": ""}, "run='': give the path"),
        ({"width": float("inf")}, "width=inf"),
        ({"backbone": "vgg16"}, "backbone='vgg16': .* give one of darknet-tiny, resnet18"),
    ],
)
def test_a_training_that_cannot_be_leaves_nothing(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    data = Shapes(24, (SIDE, SIDE), split="train")
    given = {"image_size": 64, "width": 0.125, "epochs": 2, "batch_size": 8, "workers": 0, **options}
    with pytest.raises(ValueError, match=words) as caught:
        kzoo.train("yolov3-tiny", data, **given)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_rectangular_validation_needs_something_to_validate_on(detector, drawn, options):
    with pytest.raises(ValueError, match="nothing to validate on"):
        kzoo.train(detector, drawn[0], **options, rectangular=True)


def test_batches_beyond_the_memory_are_refused_before_they_are_made(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"image_size": 256, "width": 0.25, "epochs": 20, "batch_size": 64, "workers": 0}
    with pytest.raises(ValueError, match="batch_size=64: 64 images of 256x256 pixels would need") as caught:
        kzoo.train("yolov3-tiny", Shapes(24, (SIDE, SIDE)), **options)
    assert "give 65 or less" not in str(caught.value) and "GiB" in str(caught.value)
    with pytest.raises(ValueError, match="give a smaller image_size"):
        memory.check_batch(1, (4096, 4096))
    memory.check_batch(1, (64, 64))
    assert not list(tmp_path.iterdir())


def test_feature_maps_are_counted():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, 2, padding="same")(inputs)
    network = keras.Model(inputs, [keras.layers.Conv2D(2, 1)(x)])

    class Model:
        compute_dtype = "float32"

    model = Model()
    model.network = network
    assert feature_bytes(model, (64, 32)) == 4 * (32 * 16 * 4 + 32 * 16 * 2)


def test_paths_that_are_empty_are_refused():
    for arguments in (("", "shapes"), ("yolov3-tiny", ""), ("yolov3-tiny", "shapes", "")):
        with pytest.raises(ValueError, match="='': give the path of a"):
            kzoo.train(*arguments)
    with pytest.raises(ValueError, match="run='': give the path of a run folder"):
        from kzoo.training import resume

        resume("")


@pytest.mark.parametrize("kind", [{"is_new": False}, {"is_cfg": True}])
def test_pretrained_is_for_models_by_name(kind):
    with pytest.raises(ValueError, match="pretrained=True: for a model by name only; leave it out"):
        check({"pretrained": True}, **kind)
