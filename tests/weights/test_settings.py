"""What has no shape is part of the weights: anchors, names, thresholds, input size, normalisation, options."""

import json

import keras
import numpy as np
import pytest

import kzoo
from kzoo.data.formats.shapes import Shapes
from kzoo.training.assembly import adopt_model, build_model, build_saved
from kzoo.training.config import TrainConfig

SIZE = 64
ANCHORS = [[8, 9], [12, 15], [20, 18], [30, 31], [40, 44], [55, 50]]
IMAGES = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
NAMES = ["circle", "rectangle", "triangle"]


def build(name="yolov3-tiny", **arguments):
    keras.utils.set_random_seed(0)
    return kzoo.build(name, **{"width": 0.125, **arguments})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A detector with settings of its own, and its file."""
    model = build(
        num_classes=3, image_size=(SIZE, SIZE), anchors=ANCHORS, names=NAMES, nms_threshold=0.6,
        score_threshold=0.005, box_loss="giou", nms_kind="diou", scale_xy=1.1,
    )  # fmt: skip
    model.resize = "stretch"
    path = tmp_path_factory.mktemp("weights") / "best.keras"
    model.save(path)
    return model, path


def settings(model):
    """Of the head, as plain data."""
    return {name: json.dumps(value) for name, value in model.head.get_config().items() if name != "dtype"}


def said(caplog):
    return " / ".join(record.getMessage() for record in caplog.records)


def same(one, other):
    one, other = (model.predict_on_batch(IMAGES) for model in (one, other))
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


@pytest.mark.long
def test_a_model_from_a_file_has_its_settings_and_predicts_the_same(saved):
    model, path = saved
    again = build(weights=path)
    assert settings(again) == settings(model)
    assert (again.names, again.image_size, again.resize) == (NAMES, (SIZE, SIZE), "stretch")
    same(again, model)


@pytest.mark.long
def test_what_is_given_holds_or_contradicts(saved):
    model, path = saved
    other = build(weights=path, nms_threshold=0.3, box_loss="ciou", image_size=(96, 96))
    assert (other.head.nms_threshold, other.head.box_loss) == (0.3, "ciou")
    assert other.image_size == (96, 96) and other.head.anchors == model.head.anchors
    assert build(weights=path, anchors=ANCHORS).head.anchors == model.head.anchors
    wrong = [[side + 1 for side in pair] for pair in ANCHORS]
    for arguments, words in (
        ({"anchors": wrong}, "best.keras: was trained with anchors="),
        ({"scale_xy": 1.0}, "was trained with scale_xy="),
        ({"width": 0.25}, "best.keras: does not fit yolov3-tiny: has other shapes"),
        ({"num_classes": 2, "names": NAMES}, "3 names for num_classes=2"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            build(weights=path, **arguments)
        assert "\n" not in str(caught.value)


def rows(model):
    """Of each level its kernel by anchor: (C, A, 5 + classes)."""
    kernels = (layer.get_weights()[0][0, 0] for layer in model.head.convs)
    return [kernel.reshape(kernel.shape[0], 3, -1) for kernel in kernels]


def test_names_in_another_order_take_their_rows_along(saved, caplog):
    model, path = saved
    turned = build(weights=path, names=["triangle", "circle", "rectangle"], score_threshold=0.0)
    for one, other in zip(rows(model), rows(turned), strict=True):
        np.testing.assert_array_equal(one[..., [0, 1, 2, 3, 4, 7, 5, 6]], other)
    assert "the same classes in another order" in said(caplog)


def test_other_classes_keep_all_but_their_rows(saved, caplog):
    model, path = saved
    other = build(weights=path, names=["circle", "star", "triangle", "moon"])
    assert (other.head.num_classes, other.head.anchors) == (4, model.head.anchors)
    assert other.head.nms_threshold == 0.6
    for one, two in zip(rows(model), rows(other), strict=True):
        np.testing.assert_array_equal(one[..., [0, 1, 2, 3, 4, 5, 7]], two[..., [0, 1, 2, 3, 4, 5, 7]])
    for mine, theirs in zip(model.network.get_weights(), other.network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    text = said(caplog)
    assert "start anew, in head/stride16, head/stride32: star, moon; left out: rectangle" in text


def test_training_by_name_with_weights_and_training_the_file_are_the_same(saved, caplog):
    model, path = saved
    dataset = Shapes(4, (SIZE, SIZE))
    dataset.classes = ["star", "circle"]
    options = {"precision": "float32", "head": {"label_smoothing": 0.1}, "box_loss": "diou"}
    named = build_model("yolov3-tiny", dataset, TrainConfig(weights=str(path), width=0.125, **options))
    file = build_saved(path, dataset, TrainConfig(**options))
    assert settings(named) == settings(file)
    assert named.head.anchors == model.head.anchors and named.head.label_smoothing == 0.1
    assert named.names == file.names == ["star", "circle"]
    assert (named.image_size, named.resize) == (file.image_size, file.resize) == ((SIZE, SIZE), "stretch")
    for one, other in zip(rows(named), rows(file), strict=True):
        np.testing.assert_array_equal(one[..., [0, 1, 2, 3, 4, 6]], other[..., [0, 1, 2, 3, 4, 6]])
    assert "anchors: those that" in said(caplog) and "start anew" in said(caplog)


@pytest.mark.long
def test_a_file_is_trained_in_another_precision_and_refuses_what_it_cannot_take(saved):
    model, path = saved
    dataset = Shapes(4, (SIZE, SIZE))
    half = build_saved(path, dataset, TrainConfig(precision="mixed_bfloat16"))
    assert half.dtype_policy.name == half.head.convs[0].dtype_policy.name == "mixed_bfloat16"
    assert half.network.get_layer("normalize").compute_dtype == "float32"
    same(build_saved(path, dataset, TrainConfig(precision="float32")), model)
    for options, words in (
        ({"width": 0.5}, "width=0.5: for a model by name only"),
        ({"anchors": [1.0, 2.0] * 6}, "was trained with anchors="),
        ({"head": {"nms": 3}}, r"best\.keras: .*nms"),
        ({"head": {"scale_xy": 2.0}}, "was trained with scale_xy"),
    ):
        with pytest.raises(ValueError, match=words):
            build_saved(path, dataset, TrainConfig(precision="float32", **options))


def test_a_model_at_hand_follows_the_names_of_the_data(saved):
    _, path = saved
    model, dataset = kzoo.load(path), Shapes(4, (SIZE, SIZE))
    before = rows(model)
    dataset.classes = ["triangle", "circle", "rectangle"]
    adopted = adopt_model(model, dataset, TrainConfig())
    assert adopted is model and model.names == dataset.classes
    for one, other in zip(before, rows(model), strict=True):
        np.testing.assert_array_equal(one[..., [0, 1, 2, 3, 4, 7, 5, 6]], other)
    dataset.classes = ["circle"]
    with pytest.raises(ValueError, match=r"give the path of its \.keras file"):
        adopt_model(model, dataset, TrainConfig())


@pytest.mark.long
def test_numbers_alone_say_that_they_are(saved, tmp_path, caplog):
    model, _ = saved
    path = tmp_path / "best.weights.h5"
    model.save_weights(path)
    same(
        build(num_classes=3, anchors=ANCHORS, scale_xy=1.1, nms_threshold=0.6, nms_kind="diou", score_threshold=0.005,
              weights=path), model,
    )  # fmt: skip
    other = build(num_classes=2, image_size=(SIZE, SIZE), weights=path)
    assert "holds numbers alone, neither anchors nor names" in said(caplog)
    assert "head/stride16, head/stride32 start anew" in said(caplog)
    for mine, theirs in zip(model.network.get_weights(), other.network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ValueError, match="does not hold weights of yolov3-tiny with 2 classes"):
        build(num_classes=2, image_size=(SIZE, SIZE), weights=path, width=0.25)


def test_darknet_files_of_other_classes_keep_boxes(tmp_path, caplog):
    model = build(num_classes=3, image_size=(SIZE, SIZE), names=NAMES)
    path, _ = kzoo.darknet.save(model, tmp_path / "net.weights")
    other = build(num_classes=5, image_size=(SIZE, SIZE), weights=path)
    for one, two in zip(rows(model), rows(other), strict=True):
        np.testing.assert_array_equal(one[..., :5], two[..., :5])
    assert "start anew" in said(caplog)
    with pytest.raises(ValueError, match=r"net\.weights"):
        build(num_classes=3, image_size=(SIZE, SIZE), weights=path, width=0.25)


@pytest.mark.long
def test_normalisation_and_options_of_layers_come_along(untraced, tmp_path):
    small = {"num_classes": 2, "image_size": (SIZE, SIZE), "depth": 0.05}
    model = build("retinanet-resnet18", **small, normalize="caffe", box_loss="giou", nms_threshold=0.4)
    path = tmp_path / "retina.keras"
    model.save(path)
    again = build("retinanet-resnet18", depth=0.05, weights=path)
    same(again, model)
    assert again.head.box_loss == "giou" and settings(again) == settings(model)
    with pytest.raises(ValueError, match=r"retina\.keras: layer backbone_normalize was trained with"):
        build("retinanet-resnet18", depth=0.05, weights=path, normalize="imagenet")


@pytest.mark.long
def test_a_segmenter_keeps_its_options_for_other_classes(tmp_path, caplog):
    model = build("unet", num_classes=3, image_size=(SIZE, SIZE), depth=0.5, loss="ce+dice", batch_norm=True,
                  class_weights=[1.0, 2.0, 3.0])  # fmt: skip
    path = tmp_path / "unet.keras"
    model.save(path)
    same(build("unet", depth=0.5, batch_norm=True, weights=path), model)
    other = build("unet", depth=0.5, batch_norm=True, num_classes=2, weights=path)
    assert other.head.pixel_loss.names == ("ce", "dice")
    assert other.head.get_config()["class_weights"] is None and "start anew" in said(caplog)
