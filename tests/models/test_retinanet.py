"""RetinaNet: levels, batch normalisation, its variants; what it refuses."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.model import backbone_layers
from kzoo.registry import entry

SMALL = {"width": 0.25, "depth": 0.34, "image_size": (64, 64)}


def build(name="retinanet", **arguments):
    return kzoo.build(name, **{"num_classes": 3, "backbone": "resnet18", **SMALL, **arguments})


def norms(model):
    return [layer for layer in model.network.layers if isinstance(layer, keras.layers.BatchNormalization)]


@pytest.mark.parametrize(
    "size, sides",
    [((96, 160), [(12, 20), (6, 10), (3, 5), (2, 3), (1, 2)]), ((32, 32), [(4, 4), (2, 2), *[(1, 1)] * 3])],
)
def test_levels(size, sides):
    model = build()
    images = np.zeros((1, *size, 3), np.uint8)
    outputs = model(images)
    for stride, side in zip((8, 16, 32, 64, 128), sides, strict=True):
        assert outputs[f"class_stride{stride}"].shape == (1, *side, 9 * 3)
        assert outputs[f"box_stride{stride}"].shape == (1, *side, 9 * 4)
    boxes = model.head.boxes_of_anchors(sides)
    assert boxes.shape == (9 * sum(h * w for h, w in sides), 4)


@pytest.mark.long
def test_sizes_that_are_no_multiples_work_too():
    result = build().predict(np.zeros((1, 75, 90, 3), np.uint8), verbose=0)
    assert result["boxes"].shape == (1, 300, 4)


def test_the_first_version_and_the_second_differ():
    first, second = build(), build("retinanet-v2")
    channels = {model.name: model.network.get_layer("neck_p6").kernel.shape[2] for model in (first, second)}
    assert channels == {
        "retinanet": 64,
        "retinanet-v2": second.network.get_layer("neck_lateral5").kernel.shape[2],
    }
    assert channels["retinanet-v2"] == 128  # the third stage's own
    names = {layer.name for layer in second.head._flatten_layers()}
    assert {"class_tower0_norm", "box_tower3_norm"} <= names
    assert not any("norm" in layer.name for layer in first.head._flatten_layers())
    assert (first.head.box_loss, second.head.box_loss) == ("l1", "giou")


@pytest.mark.parametrize("name, blocks", [("retinanet-resnet18", 8), ("retinanet-resnet101", 33)])
def test_backbones(name, blocks):
    model = kzoo.build(name, num_classes=3, width=0.125, image_size=(64, 64))
    assert sum(layer.name.endswith("_add") for layer in backbone_layers(model)) == blocks
    assert model.name == name == entry(name).name


@pytest.mark.long
def test_batch_norm_is_frozen_with_weights_and_trained_without(tmp_path):
    trained = build()
    assert all(norm.trainable for norm in norms(trained))
    trained.save(tmp_path / "a.keras")
    for key in ("weights", "backbone_weights"):
        model = build(**{key: tmp_path / "a.keras"})
        assert not any(norm.trainable for norm in norms(model))
        np.testing.assert_array_equal(norms(model)[0].gamma, norms(trained)[0].gamma)
    assert all(norm.synchronized and norm.trainable for norm in norms(build(batch_norm="synchronized")))
    assert all(norm.trainable for norm in norms(build("retinanet-v2", weights=None)))


@pytest.mark.long
def test_frozen_batch_norm_stays_through_training_and_saving(tmp_path):
    keras.utils.set_random_seed(0)
    model = build(batch_norm="frozen")
    statistics = sum(np.prod(weight.shape) for norm in norms(model) for weight in norm.weights)
    moved = sum(np.prod(weight.shape) for weight in model.trainable_weights)
    assert moved == model.count_params() - statistics
    before = [norm.get_weights() for norm in norms(model)]
    kernel = np.array(model.network.get_layer("backbone_conv1").kernel)
    model.compile("sgd", run_eagerly=True)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    boxes = np.tile(np.float32([[[8, 8, 40, 50]]]), (2, 1, 1))
    model.fit(images, {"boxes": boxes, "labels": np.ones((2, 1), np.int32)}, verbose=0)
    for norm, wanted in zip(norms(model), before, strict=True):
        for ours, theirs in zip(norm.get_weights(), wanted, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(kernel, model.network.get_layer("backbone_conv1").kernel)
    model.save(tmp_path / "a.keras")
    assert not any(norm.trainable for norm in norms(kzoo.load(tmp_path / "a.keras")))


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"batch_norm": "fixed"}, "batch_norm='fixed'; give one of trained, frozen, synchronized"),
        ({"extra": "p7"}, "extra='p7': no such levels"),
        ({"image_size": (64, 80)}, r"image_size=\(64, 80\): height and width must be multiples of 32"),
        ({"image_size": (16, 16)}, r"image_size=\(16, 16\): height and width must be multiples of 32"),
        ({"backbone": "vgg16"}, "backbone='vgg16': .*give one of resnet18"),
        ({"names": ["a"]}, "names: 1 names for num_classes=3"),
        ({"anchors": [[[8, 8]]] * 4}, "5"),
    ],
)
def test_what_is_not_possible_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        build(**arguments)
    assert "\n" not in str(caught.value)
