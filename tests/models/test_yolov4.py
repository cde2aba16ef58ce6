"""YOLOv4 and its family: levels and their maps, scales, and what they refuse."""

import keras
import numpy as np
import pytest
from shapes_only import shapes_only

import kzoo
from kzoo.layers.conv import ConvNamer
from kzoo.models.yolov4 import path_aggregation

SMALL = {"num_classes": 3, "width": 0.125, "depth": 0.05, "image_size": (64, 64)}


def test_path_aggregation_goes_down_and_up():
    maps = [keras.Input((side, side, channels)) for side, channels in ((16, 5), (8, 6), (4, 32))]
    levels = path_aggregation(ConvNamer("neck"), maps, (8, 16, 32), lambda namer, x, f: namer.conv(x, f))
    assert [level.shape[1:] for level in levels] == [(16, 16, 16), (8, 8, 32), (4, 4, 64)]
    # Every level sees every map.
    network = keras.Model(maps, levels)
    rng = np.random.default_rng(0)
    images = [rng.normal(size=(1, *x.shape[1:])) for x in maps]
    before = [keras.ops.convert_to_numpy(x) for x in network(images)]
    for number in range(3):
        changed = [x + 1 if i == number else x for i, x in enumerate(images)]
        after = [keras.ops.convert_to_numpy(x) for x in network(changed)]
        assert all(np.abs(a - b).max() > 1e-6 for a, b in zip(after, before, strict=True))


@pytest.mark.long
@pytest.mark.parametrize(
    "name, levels",
    [
        ("yolov4", {"stride8": 24, "stride16": 24, "stride32": 24}),
        ("yolov4-tiny", {"stride16": 24, "stride32": 24}),
        ("yolov4-tiny-3l", {"stride8": 24, "stride16": 24, "stride32": 24}),
        ("yolov4-p6", {"stride8": 32, "stride16": 32, "stride32": 32, "stride64": 32}),
    ],
)
def test_levels(name, levels):
    with shapes_only():
        model = kzoo.build(name, **SMALL)
        shapes = model.compute_output_spec(keras.KerasTensor((1, 128, 64, 3)))
    assert {level: shape.shape for level, shape in shapes.items()} == {
        level: (1, 128 // int(level[6:]), 64 // int(level[6:]), channels)
        for level, channels in levels.items()
    }


@pytest.mark.long
def test_the_head_is_that_of_darknets_file():
    with shapes_only():
        heads = [kzoo.build(name, **SMALL).head for name in ("yolov4", "yolov4-csp", "yolov4-p5")]
        asked = kzoo.build("yolov4", scale_xy=1.0, nms_kind="greedy", **SMALL).head
    assert [head.scale_xy for head in heads] == [[1.2, 1.1, 1.05], [2.0] * 3, [2.0] * 3]
    assert [head.size_transform for head in heads] == ["exp", "square", "square"]
    assert [head.objectness_weight for head in heads] == [[1.0] * 3, [4.0, 1.0, 0.4], [1.0] * 3]
    assert (asked.scale_xy, asked.nms_kind, asked.iou_threshold) == ([1.0] * 3, "greedy", 0.213)


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("yolov4-csp", {"scale": "y"}, "scale='y' is unknown; use csp, x, p5 or p6"),
        ("yolov4-csp", {"activation": "relu7"}, "activation='relu7'"),
        ("yolov4-p6", {"backbone": "resnet18"}, "backbone='resnet18' ends at stride 32, scale='p6' at 64"),
        ("yolov4-p6", {"image_size": (96, 96)}, "multiples of 64"),
        ("yolov4-tiny", {"levels": 4}, "levels=4"),
        ("yolov4", {"backbone": "darknet53"}, "backbone='darknet53': .*give one of cspdarknet53"),
    ],
)
def test_what_they_do_not_take(name, arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        kzoo.build(name, **{**SMALL, **arguments})
    assert "\n" not in str(caught.value)
