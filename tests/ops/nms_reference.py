"""Greedy suppression as its papers tell it, box by box, and scenes to try it on. Also run in other processes."""

import numpy as np


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    union = max(a[2] - a[0], 0) * max(a[3] - a[1], 0) + max(b[2] - b[0], 0) * max(b[3] - b[1], 0) - shared
    return shared / union if union > 0 else 0


def diou(a, b, power):
    """IoU less the distance of the centres, in shares of the enclosing box's diagonal: Darknet's `beta_nms`."""
    width, height = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    diagonal = float(width) ** 2 + float(height) ** 2
    if diagonal == 0:
        return iou(a, b)
    x, y = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    return iou(a, b) - ((float(x) ** 2 + float(y) ** 2) / diagonal) ** power


def greedy(
    boxes, scores, labels, iou_threshold, score_threshold, max_detections, candidates=None, overlap=iou
):
    """Indices of the boxes that stay, best first."""
    order = sorted(range(len(boxes)), key=lambda i: (-scores[i], i))[:candidates]
    kept = []
    for i in order:
        if scores[i] <= score_threshold or len(kept) == max_detections:
            break
        rivals = [j for j in kept if labels is None or labels[j] == labels[i]]
        if all(overlap(boxes[i], boxes[j]) <= iou_threshold for j in rivals):
            kept.append(i)
    return kept


def random_scene(rng, count, classes=3, extent=40, levels=None):
    """Boxes on whole pixels, so that every IoU is the same fraction in any precision; some without area.

    `levels` few scores make ties.
    """
    low = rng.integers(0, extent, (count, 2))
    boxes = np.concatenate([low, low + rng.integers(0, extent // 2, (count, 2))], -1).astype(np.float32)
    scores = rng.random(count) if levels is None else rng.integers(0, levels, count) / levels
    return boxes, scores.astype(np.float32), rng.integers(0, classes, count).astype(np.int32)


def chain(count, step=4, side=10):
    """Each box overlaps the next by an IoU of 3 / 7 and the one after by 1 / 9: every other one stays."""
    low = np.arange(count)[:, None] * [step, 0]
    boxes = np.concatenate([low, low + side], -1).astype(np.float32)
    return boxes, np.linspace(0.9, 0.1, count).astype(np.float32), np.zeros(count, np.int32)


def scenes():
    """Name -> boxes (N, 4), scores (N,), labels (N,)."""
    rng = np.random.default_rng(0)
    one = np.array([[2, 3, 12, 9]], np.float32)
    yield "one box", (one, np.float32([0.5]), np.int32([0]))
    yield "duplicates", (np.repeat(one, 9, 0), np.float32([0.5] * 9), np.int32([0, 1, 2] * 3))
    yield (
        "no area",
        (np.repeat(one[:, [0, 1, 0, 1]], 4, 0), np.float32([0.4, 0.3, 0.2, 0.1]), np.int32([0] * 4)),
    )
    yield "inverted", (one[:, [2, 3, 0, 1]], np.float32([0.4]), np.int32([0]))
    yield "nothing scores", (one, np.float32([0]), np.int32([0]))
    yield "a long chain", chain(101)
    yield "a chain of ties", (chain(40)[0], np.full(40, 0.5, np.float32), np.zeros(40, np.int32))
    for count in (2, 7, 60, 200):
        yield f"{count} random boxes", random_scene(rng, count)
        yield f"{count} boxes with ties", random_scene(rng, count, levels=4)


def check(run, iou_threshold=0.4, score_threshold=0.0, max_detections=50):
    """Every scene, per class and across classes, through `run(boxes, scores, labels, ...)` against `greedy`.

    `run` takes and gives batches of one, as NumPy arrays.
    """
    count = 0
    for name, (boxes, scores, labels) in scenes():
        for of_class in (labels, None):
            limits = (iou_threshold, score_threshold, max_detections)
            batched = None if of_class is None else of_class[None]
            indices, valid = run(boxes[None], scores[None], batched, *limits)
            assert indices.shape == valid.shape == (1, max_detections), name
            expected = greedy(boxes, scores, of_class, *limits)
            assert indices[0][valid[0]].tolist() == expected, name
            assert valid[0, : len(expected)].all(), name
            count += 1
    return count
