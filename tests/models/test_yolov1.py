"""YOLO: a grid that follows the size of the image, and sizes that it does not take."""

import keras
import numpy as np
import pytest

import kzoo

SMALL = {"num_classes": 3, "width": 0.125}


def test_a_cell_for_each_64_pixels():
    model = kzoo.build("yolov1-tiny", image_size=(128, 128), **SMALL)
    assert (model.head.side, model.head.boxes_per_cell, model.image_size) == (2, 2, (128, 128))
    raw = model(np.zeros((1, 128, 128, 3), "float32"))["grid"]
    assert raw.shape == (1, 2 * 2 * (3 + 2 * 5))


def test_a_grid_of_ones_own_takes_any_shape():
    model = kzoo.build("yolov1-tiny", image_size=(64, 128), side=5, boxes_per_cell=1, **SMALL)
    found = model.predict_on_batch(np.zeros((1, 64, 128, 3), np.uint8))
    assert model.head.cells == 25 and found["boxes"].shape == (1, 100, 4)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"image_size": (64, 128)}, r"image_size=\(64, 128\): .*give a square image, or `side`"),
        ({"image_size": (96, 96)}, "multiples of 64"),
        ({"side": 0}, "side=0"),
        ({"boxes_per_cell": 1.5}, "boxes_per_cell=1.5"),
        ({"backbone": "resnet18"}, "unknown option 'backbone'"),
    ],
)
def test_what_it_does_not_take(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        kzoo.build("yolov1-tiny", **{"image_size": 64, **SMALL, **arguments})
    assert "\n" not in str(caught.value)


def test_another_size_than_its_own_is_refused():
    model = kzoo.build("yolov1-tiny", image_size=(64, 64), **SMALL)
    with pytest.raises(ValueError, match=r"takes no images of this size; its own is \(64, 64\)"):
        model.check_size((128, 128))


def test_the_papers_network_has_biases_and_a_dense_layer():
    model = kzoo.build("yolov1-paper", image_size=(64, 64), depth=0.05, **SMALL)
    kinds = {type(layer).__name__ for layer in model.network.layers}
    assert "LocallyConnected" not in kinds and not any("Normalization" in kind for kind in kinds)
    dense = [layer.units for layer in model.network.layers if isinstance(layer, keras.layers.Dense)]
    assert dense == [512, 3 + 2 * 5]
