"""The second head of YOLOv7's largest sizes: trained beside the first, by what the first predicts, and never asked."""

import numpy as np
import pytest
from keras import ops
from shapes_only import shapes_only

import kzoo
from kzoo.heads import YoloHead
from kzoo.heads.auxiliary_yolo import AuxiliaryYoloHead

ANCHORS, STRIDES, SIZES = [[[8, 8], [16, 12]], [[24, 32], [48, 40]]], (8, 16), ((8, 8), (4, 4))
SETTINGS = {
    "assigner": "ratio-ota",
    "scale_xy": 2.0,
    "size_transform": "square",
    "normalize_by": "levels",
    "objectness_target": "ciou",
    "ignore_threshold": 1.0,
}


def outputs(seed, names):
    rng = np.random.default_rng(seed)
    maps = zip(names, SIZES, strict=True)
    return {
        name: ops.convert_to_tensor(rng.normal(0, 1, (2, *size, 2 * 8)).astype("float32"))
        for name, size in maps
    }


@pytest.fixture
def targets():
    boxes = np.zeros((2, 4, 4), np.float32)
    boxes[0, :2] = [[4, 6, 16, 20], [20, 12, 60, 50]]
    boxes[1, 0] = [30, 30, 50, 44]
    labels = np.array([[0, 2, -1, -1], [1, -1, -1, -1]], np.int32)
    return {"boxes": ops.convert_to_tensor(boxes), "labels": ops.convert_to_tensor(labels)}


def heads(**more):
    return AuxiliaryYoloHead(3, ANCHORS, STRIDES, **SETTINGS, **more), YoloHead(
        3, ANCHORS, STRIDES, **SETTINGS
    )


def test_detections_are_those_of_the_first_head():
    both, one = heads()
    first = outputs(0, one.levels)
    found = both.decode({**first, **outputs(1, [f"auxiliary_{name}" for name in one.levels])})
    for name, value in one.decode(first).items():
        np.testing.assert_array_equal(found[name], value)


def test_the_second_heads_loss_counts_by_its_weight_and_is_matched_by_the_first(targets):
    both, _ = heads(auxiliary_weight=0.5)
    without, _ = heads(auxiliary_weight=0.0)
    first = outputs(0, both.levels)
    second = outputs(1, both.levels)
    every = {**first, **{f"auxiliary_{name}": value for name, value in second.items()}}
    lead, sum_of_both = without.loss(targets, every), both.loss(targets, every)

    # The second alone, with the match of five cells that the first's predictions make.
    grid = both._grid(SIZES)
    place = [
        np.concatenate([np.reshape(maps[name], (2, -1, 8)) for name in both.levels], 1)
        for maps in (first, second)
    ]
    rows, second_rows = map(ops.convert_to_tensor, place)
    wide = both._match(grid, targets["boxes"], targets["labels"], rows, both._predicted(rows, grid), cells=5)
    alone = both._terms(targets, second_rows, both._predicted(second_rows, grid), wide, grid, None)
    for name, term in sum_of_both.items():
        np.testing.assert_allclose(term, lead[name] + 0.5 * alone[name], rtol=1e-5)
    narrow = both._match(grid, targets["boxes"], targets["labels"], rows, both._predicted(rows, grid))
    assert float(ops.sum(wide.weight)) > float(ops.sum(narrow.weight))


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="project=False"):
        AuxiliaryYoloHead(3, ANCHORS, STRIDES, project=False)
    with pytest.raises(ValueError, match="3 feature maps; give two for each"):
        heads()[0].build([(None, 8, 8, 16)] * 3)
    with pytest.raises(ValueError, match="auxiliary_weight=-1"):
        heads(auxiliary_weight=-1.0)


# Of the authors' deployed networks, with the statistics of their batch normalisation.
DEPLOYED = {"w6": 70_490_108, "e6": 97_334_076, "d6": 133_916_028, "e6e": 151_896_892}


@pytest.mark.slow  # four networks of up to 152 million parameters, as shapes
@pytest.mark.parametrize("size", list(DEPLOYED))
def test_without_the_second_head_it_is_the_network_that_the_authors_deploy(size):
    with shapes_only():
        assert kzoo.build(f"yolov7-{size}", auxiliary=0).count_params() == DEPLOYED[size]
