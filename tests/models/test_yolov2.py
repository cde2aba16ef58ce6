"""YOLOv2: features passed through to a coarser map, and what Darknet's files say besides weights."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo import darknet
from kzoo.layers.conv import ConvNamer
from kzoo.models.yolov2 import ANCHORS, VOC_ANCHORS, passthrough

SMALL = {"num_classes": 3, "width": 0.125, "depth": 0.05, "image_size": (64, 64)}


def test_passthrough_stands_before_the_coarse_map():
    fine, coarse = keras.Input((8, 12, 32)), keras.Input((4, 6, 5))
    joined = passthrough(ConvNamer("neck"), coarse, fine, 4)
    assert joined.shape == (None, 4, 6, 4 * 4 + 5)
    values = [np.random.default_rng(i).normal(size=(1, *x.shape[1:])) for i, x in enumerate((fine, coarse))]
    out = keras.ops.convert_to_numpy(keras.Model([fine, coarse], joined)(values))
    np.testing.assert_allclose(out[..., 16:], values[1], rtol=1e-6)


def test_takes_any_multiple_of_32():
    model = kzoo.build("yolov2", **SMALL)
    for height, width in ((96, 64), (64, 160)):
        raw = model(np.zeros((1, height, width, 3), "float32"))["stride32"]
        assert raw.shape == (1, height // 32, width // 32, 5 * 8)


def test_anchors_of_another_data_set():
    assert kzoo.build("yolov2-tiny", **SMALL).head.anchors == [[list(anchor) for anchor in ANCHORS]]
    model = kzoo.build("yolov2-tiny", anchors=VOC_ANCHORS, neck_width=1024, **SMALL)
    assert model.head.anchors == [[list(anchor) for anchor in VOC_ANCHORS]]
    assert model.network.output_shape[-1] == 128


def test_a_file_says_how_many_images_it_has_seen(tmp_path):
    model = kzoo.build("yolov2-tiny", **SMALL)
    model.origin = {"seen": 5000}
    weights, _ = darknet.save(model, tmp_path / "a.weights")
    assert float(kzoo.build("yolov2-tiny", weights=weights, **SMALL).head.seen) == 5000
    # A backbone alone brings none.
    again = kzoo.build("yolov2-tiny", backbone_weights=weights, **SMALL)
    assert float(again.head.seen) == 0


@pytest.mark.parametrize(
    "arguments, words",
    [({"neck_width": 0}, "neck_width=0"), ({"image_size": (80, 64)}, "multiples of 32")],
)
def test_what_it_does_not_take(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        kzoo.build("yolov2-tiny", **{**SMALL, **arguments})
    assert "\n" not in str(caught.value)
