"""Assignment by ratios of sides against a loop over objects, anchors and cells."""

import numpy as np
import pytest
from keras import ops

from kzoo.heads.yolo_grid import YoloGrid

STRIDES, SIZES = (8, 16), [(6, 8), (3, 4)]
ANCHORS = [[[6, 9], [14, 12]], [[20, 31], [40, 25]]]
RATIO = 3.0


def scene(seed, objects=9, padding=12):
    rng = np.random.default_rng(seed)
    boxes, labels = np.zeros((2, padding, 4), np.float32), np.full((2, padding), -1, np.int32)
    low = rng.uniform(-6, [54, 38], (2, objects, 2))
    boxes[:, :objects] = np.concatenate([low, low + rng.uniform(2, 40, (2, objects, 2))], -1)
    boxes[:, :objects] = np.clip(boxes[:, :objects], 0, [64, 48, 64, 48])
    labels[:, : objects - 1] = rng.integers(0, 3, (2, objects - 1))  # the last is a region without a label
    return boxes, labels


def written(boxes, labels):
    """Row of the prediction and object of every pair of an image, in the order in which they are written."""
    start = [0, 2 * 6 * 8]
    pairs = []
    for turn in range(5):  # the centre's cell, left, above, right, below
        for level, (stride, (rows, columns)) in enumerate(zip(STRIDES, SIZES, strict=True)):
            for slot, anchor in enumerate(ANCHORS[level]):
                for number, (box, label) in enumerate(zip(boxes, labels, strict=True)):
                    size = box[2:] - box[:2]
                    if label < 0 or max((size / anchor).max(), (anchor / size).max()) >= RATIO:
                        continue
                    x, y = (box[:2] + box[2:]) / 2 / stride
                    near = (
                        True,
                        x % 1 < 0.5 and x > 1,
                        y % 1 < 0.5 and y > 1,
                        (columns - x) % 1 < 0.5 and columns - x > 1,
                        (rows - y) % 1 < 0.5 and rows - y > 1,
                    )
                    if near[turn]:
                        move = ((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1))[turn]
                        column, row = min(int(x), columns - 1) + move[0], min(int(y), rows - 1) + move[1]
                        pairs.append((start[level] + (row * columns + column) * 2 + slot, number))
    return pairs


@pytest.mark.parametrize("seed", range(4))
def test_pairs_and_owners_equal_those_of_a_loop(seed):
    boxes, labels = scene(seed)
    grid = YoloGrid(SIZES, STRIDES, ANCHORS, (2.0, 2.0))
    match = grid.match_by_ratio(ops.convert_to_tensor(boxes), ops.convert_to_tensor(labels), RATIO)
    index, weight, taken, owner = (
        np.asarray(value) for value in (match.index, match.weight, match.taken, match.owner)
    )
    per_object = index.shape[1] // boxes.shape[1]
    for image in range(2):
        wanted = written(boxes[image], labels[image])
        found = [(index[image, q], q // per_object) for q in np.flatnonzero(weight[image])]
        assert sorted(found) == sorted(wanted) and wanted
        last = dict(wanted)  # of equal rows the last
        assert {row: owner[image, row] // per_object for row in np.flatnonzero(taken[image])} == last


def test_a_centre_on_the_line_goes_to_the_cells_at_both_of_its_sides():
    """It is as near to the left cell as to its own's other side, so the left and the upper one take it, too."""
    boxes = ops.convert_to_tensor(np.array([[[10.0, 9.0, 22.0, 23.0]]], np.float32))  # its centre is 16, 16
    grid = YoloGrid([(6, 8)], (8,), [[[12, 14]]], (2.0,))
    match = grid.match_by_ratio(boxes, ops.zeros((1, 1), "int32"))
    assert sorted(np.asarray(match.index)[np.asarray(match.weight) > 0]) == [1 * 8 + 2, 2 * 8 + 1, 2 * 8 + 2]
