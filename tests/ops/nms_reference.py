"""Suppression as its papers tell it, box by box, and scenes to try it on. Also run in other processes."""

import math

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


def ranked(scores):
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))


def related(boxes, labels, i, j):
    """IoU of boxes of one class, else 0."""
    return iou(boxes[i], boxes[j]) if labels is None or labels[i] == labels[j] else 0


def soft(boxes, scores, labels, iou_threshold, score_threshold, max_detections, sigma=None, hard=False):
    """Soft-NMS: (index, score) as chosen; linear where `sigma` is None, and with `hard` all or nothing."""
    scores, left, chosen = [float(s) for s in scores], ranked(scores), []
    while left and len(chosen) < max_detections:
        best = max(left, key=lambda i: scores[i])
        if scores[best] <= score_threshold:
            break
        chosen.append((best, scores[best]))
        left.remove(best)
        for i in left:
            overlap = related(boxes, labels, best, i)
            if sigma is not None:
                scores[i] *= math.exp(-(overlap**2) / sigma)
            elif overlap > iou_threshold:
                scores[i] *= 0 if hard else 1 - overlap
    return chosen


def softer(boxes, scores, labels, *limits, sigma=0.02, variance=None, hard=False):
    """Variance voting on linear Soft-NMS, or on greedy suppression: (index, score, box)."""
    variance = np.ones_like(boxes) if variance is None else variance
    found = []
    for best, score in soft(boxes, scores, labels, *limits, hard=hard):
        above, below = np.zeros(4), np.zeros(4)
        for i in range(len(boxes)):
            overlap = related(boxes, labels, best, i)
            if overlap > 0:
                vote = math.exp(-((1 - overlap) ** 2) / sigma)
                above += vote * boxes[i] / variance[i]
                below += vote / variance[i]
        found.append((best, score, above / below if below.all() else boxes[best]))
    return found


def matrix(boxes, scores, labels, score_threshold, max_detections, sigma=0.5):
    """Matrix NMS: (index, score); a linear kernel where `sigma` is None."""
    order, decayed = ranked(scores), {}
    overlaps = [[related(boxes, labels, i, j) for j in order] for i in order]  # best first, both ways
    most = [max([row[i] for row in overlaps[:i]], default=0) for i in range(len(order))]
    kernel = (lambda v: 1 - v) if sigma is None else (lambda v: math.exp(-(v**2) / sigma))
    for j, box in enumerate(order):
        heard = [i for i in range(j) if kernel(most[i]) > 0]
        share = min([kernel(overlaps[i][j]) / kernel(most[i]) for i in heard], default=1.0)
        decayed[box] = float(scores[box]) * share
    best = sorted(order, key=lambda i: -decayed[i])[:max_detections]
    return [(i, decayed[i]) for i in best if decayed[i] > score_threshold]


def weighted(boxes, scores, labels, iou_threshold, score_threshold, max_detections):
    """Weighted boxes fusion of one model: (index of the cluster's best box, score, box)."""
    clusters = []  # members, and the mean of them
    for i in ranked(scores):
        if scores[i] <= score_threshold:
            break
        best, most = None, iou_threshold
        for cluster in clusters:
            same = labels is None or labels[cluster["members"][0]] == labels[i]
            overlap = iou(boxes[i], cluster["mean"]) if same else 0
            if overlap > most:
                best, most = cluster, overlap
        if best is None:
            best = {"members": []}
            clusters.append(best)
        members = best["members"]
        members.append(i)
        total = sum(float(scores[m]) for m in members)
        best["mean"] = sum(float(scores[m]) * boxes[m].astype(float) for m in members) / total
        best["score"] = total / len(members)
    clusters = sorted(clusters, key=lambda cluster: -cluster["score"])[:max_detections]
    return [(c["members"][0], c["score"], c["mean"]) for c in clusters]


# Of each kind with a score of its own: by boxes, scores, labels, IoU threshold, score threshold and number.
FAMILY = {
    "soft-linear": soft,
    "soft-gaussian": lambda *given: soft(*given, sigma=0.5),
    "softer": softer,
    "matrix": lambda b, s, c, _, *rest: matrix(b, s, c, *rest),
    "matrix-linear": lambda b, s, c, _, *rest: matrix(b, s, c, *rest, sigma=None),
    "weighted": weighted,
}


def same_detections(found, expected, scene, name=""):
    """Whether one image's (boxes, scores, labels), with empty places behind, are a reference's list.

    Those of scores that rounding cannot tell apart may change places.
    """
    boxes, scores, labels = found
    count = len(expected)
    assert (labels[:count] >= 0).all() and (labels[count:] == -1).all(), name
    assert not boxes[count:].any() and not scores[count:].any(), name
    np.testing.assert_allclose(
        scores[:count], [row[1] for row in expected], rtol=1e-4, atol=1e-6, err_msg=name
    )
    rows = [(*(row[2] if len(row) > 2 else scene[0][row[0]]), scene[2][row[0]]) for row in expected]
    places = list(range(count))
    for k in range(count):
        near = [p for p in places if abs(expected[p][1] - scores[k]) <= 1e-4 * scores[k] + 1e-6]
        equal = [p for p in near if np.allclose(rows[p], [*boxes[k], labels[k]], rtol=1e-4, atol=1e-3)]
        assert equal, (name, k, boxes[k], [rows[p] for p in near])
        places.remove(equal[0])


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


def scenes(counts=(2, 7, 60, 200), links=101):
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
    yield "a long chain", chain(links)
    yield "a chain of ties", (chain(40)[0], np.full(40, 0.5, np.float32), np.zeros(40, np.int32))
    for count in counts:
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


def check_family(run, iou_threshold=0.37, score_threshold=0.01, max_detections=20):
    """Every scene and kind, per class and across classes, through `run(kind, boxes, scores, labels, ...)`.

    `run` takes batches of one, as NumPy arrays, and gives a dictionary of them.
    """
    count = 0
    limits = (iou_threshold, score_threshold, max_detections)
    for kind, reference in FAMILY.items():
        for name, scene in scenes((2, 7, 40), links=40):
            for agnostic in (False, True):
                boxes, scores, labels = scene
                expected = reference(boxes, scores, None if agnostic else labels, *limits)
                found = run(kind, *(part[None] for part in scene), *limits, agnostic)
                found = [found[key][0] for key in ("boxes", "scores", "labels")]
                assert len(found[0]) == max_detections
                same_detections(found, expected, scene, f"{kind}, {name}, agnostic={agnostic}")
                count += 1
    return count


def guided(boxes, scores, quality, labels, iou_threshold, score_threshold, max_detections):
    """Suppression by predicted overlap: (index, score)."""
    left = [i for i in range(len(boxes)) if scores[i] > score_threshold]
    chosen = []
    while left:
        best = max(left, key=lambda i: (quality[i], -i))
        cluster = [i for i in left if i != best and related(boxes, labels, best, i) > iou_threshold]
        chosen.append((best, max(scores[i] for i in (best, *cluster))))
        left = [i for i in left if i != best and i not in cluster]
    return sorted(chosen, key=lambda found: -found[1])[:max_detections]
