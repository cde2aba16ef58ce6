"""Assignment by ratios of sides, and by costs among what they leave, against loops over objects, anchors and cells."""

import numpy as np
import pytest
from keras import ops

from kzoo.heads import YoloHead
from kzoo.heads.auxiliary_yolo import AuxiliaryYoloHead
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


def written(boxes, labels, all_cells=False):
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
                    sides = (x, y, columns - x, rows - y)  # cells to the edges of the map
                    near = (True, *((all_cells or side % 1 < 0.5) and side > 1 for side in sides))
                    if near[turn]:
                        move = ((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1))[turn]
                        column, row = min(int(x), columns - 1) + move[0], min(int(y), rows - 1) + move[1]
                        pairs.append((start[level] + (row * columns + column) * 2 + slot, number))
    return pairs


@pytest.mark.parametrize("cells", [3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_pairs_and_owners_equal_those_of_a_loop(seed, cells):
    boxes, labels = scene(seed)
    grid = YoloGrid(SIZES, STRIDES, ANCHORS, (2.0, 2.0))
    match = grid.match_by_ratio(ops.convert_to_tensor(boxes), ops.convert_to_tensor(labels), RATIO, cells)
    index, weight, taken, owner = (
        np.asarray(value) for value in (match.index, match.weight, match.taken, match.owner)
    )
    per_object = index.shape[1] // boxes.shape[1]
    for image in range(2):
        wanted = written(boxes[image], labels[image], cells == 5)
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


def cheapest(boxes, labels, scores, predicted, candidates, most=10):
    """SimOTA as YOLOv7 has it, object by object: pairs of a prediction's row and its object."""
    objects = [number for number, label in enumerate(labels) if label >= 0 and (boxes[number] != 0).any()]
    rows = np.array(candidates)
    overlaps, costs = {}, {}
    for number in objects:
        low, high = (
            np.maximum(boxes[number, :2], predicted[rows, :2]),
            np.minimum(boxes[number, 2:], predicted[rows, 2:]),
        )
        both = np.prod(np.maximum(high - low, 0), -1)
        area = np.prod(predicted[rows, 2:] - predicted[rows, :2], -1) + np.prod(
            boxes[number, 2:] - boxes[number, :2]
        )
        overlaps[number] = both / (area - both)
        true = np.eye(scores.shape[1])[labels[number]]
        entropy = -(true * np.log(scores[rows]) + (1 - true) * np.log(1 - scores[rows])).sum(-1)
        costs[number] = entropy - 3 * np.log(overlaps[number] + 1e-8)
    wants = {}
    for number in objects:
        count = max(1, int(np.sort(overlaps[number])[-most:].sum()))
        for place in np.argsort(costs[number], kind="stable")[:count]:
            wants.setdefault(place, []).append(number)
    return sorted(
        (rows[place], who[0] if len(who) == 1 else min(objects, key=lambda number: costs[number][place]))
        for place, who in wants.items()
    )


@pytest.mark.parametrize(("head_type", "cells", "limit"), [(YoloHead, 3, 10), (AuxiliaryYoloHead, 5, 20)])
@pytest.mark.parametrize("seed", range(4))
def test_of_the_candidates_those_that_cost_least_by_what_they_predict(seed, head_type, cells, limit):
    boxes, labels = scene(seed)
    rng = np.random.default_rng(seed)
    head = head_type(
        3, ANCHORS, STRIDES, assigner="ratio-ota", anchor_ratio=RATIO, scale_xy=2.0, size_transform="square"
    )
    grid = YoloGrid(SIZES, STRIDES, ANCHORS, (2.0, 2.0))
    total = sum(grid.counts)
    rows = rng.normal(0, 2, (2, total, 8)).astype(np.float32)
    # Predictions that are objects' boxes, more or less, so that objects get more than one.
    predicted = boxes[np.arange(2)[:, None], rng.integers(0, 8, (2, total))] + rng.uniform(
        0, 3, (2, total, 4)
    )
    predicted = predicted.astype(np.float32)
    predicted[..., 2:] += 2
    match = head._match(grid, *map(ops.convert_to_tensor, (boxes, labels, rows, predicted)), cells=cells)
    logistic = 1 / (1 + np.exp(-rows.astype(float)))
    scores = np.sqrt(logistic[..., 4:5] * logistic[..., 5:])
    most = 0
    for image in range(2):
        candidates = [row for row, _ in written(boxes[image], labels[image], cells == 5)]
        wanted = cheapest(boxes[image], labels[image], scores[image], predicted[image], candidates, limit)
        pairs = np.flatnonzero(match.weight[image])
        index, source = np.asarray(match.index[image]), np.asarray(match.source[image])
        assert sorted((index[q], source[q]) for q in pairs) == wanted and wanted
        np.testing.assert_array_equal(np.asarray(match.boxes)[image, pairs], boxes[image][source[pairs]])
        taken = np.flatnonzero(match.taken[image])
        assert set(taken) == {row for row, _ in wanted}
        assert {(row, source[match.owner[image, row]]) for row in taken} <= set(wanted)
        most = max(most, *np.bincount([number for _, number in wanted]))
    assert most > 1  # or nothing would be shown of how many an object gets
