"""An object's outermost points: where they are, how peaks along its edges become one, and boxes from four of them."""

from __future__ import annotations

from keras import ops

from kzoo.ops.corners import REFUSED, Peaks
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.runs import rising_sums


def extreme_points(boxes, masks=None):
    """The top, left, bottom and right point of each object, on the edges of its box.

    Args:
        boxes: (B, M, 4) xyxy.
        masks: (B, M, S, S) of the objects, each the cells of its own box, 0..1, or uint8 0..255. Along an edge that
            the mask touches in several places the first one counts, and its middle. Where None (default), or nothing
            is covered by half, the middle of each edge.

    Returns:
        (B, M, 4, 2) x and y.

    Source: Zhou et al. 2019, ExtremeNet, arXiv:1901.08043, section 4.1.
    """
    x1, y1, x2, y2 = (boxes[..., i] for i in range(4))  # (B, M) each
    if masks is None:
        shares = [0.5] * 4
    else:
        covered = ops.cast(masks, "float32") >= (127.5 if masks.dtype == "uint8" else 0.5)
        turned = ops.swapaxes(covered, 2, 3)
        lines = (covered, turned, ops.flip(covered, axis=2), ops.flip(turned, axis=2))
        shares = [_first_touched(cells) for cells in lines]  # (B, M) each
    top, left, bottom, right = shares
    points = (
        (x1 + top * (x2 - x1), y1),
        (x1, y1 + left * (y2 - y1)),
        (x1 + bottom * (x2 - x1), y2),
        (x2, y1 + right * (y2 - y1)),
    )
    return ops.stack([ops.stack(point, axis=-1) for point in points], axis=2)


def _first_touched(covered):
    """Of masks (B, M, S, S) bool the middle of the first run of covered cells in the first row with any: 0 to 1."""
    size = covered.shape[-1]
    number = ops.arange(size, dtype="int32")
    row = ops.min(ops.where(ops.any(covered, axis=3), number, size), axis=2, keepdims=True)  # (B, M, 1)
    first = ops.any(covered & ops.expand_dims(ops.equal(number, row), -1), axis=2)  # (B, M, S)
    start = ops.min(ops.where(first, number, size), axis=2, keepdims=True)
    behind = ops.logical_and(ops.logical_not(first), number >= start)
    end = ops.min(ops.where(behind, number, size), axis=2)  # (B, M)
    middle = ops.cast(start[..., 0] + end, "float32") / (2.0 * size)
    return ops.where(row[..., 0] < size, middle, 0.5)


def edge_aggregated(heat, axis: int, weight: float = 0.1):
    """Heat maps in which a peak has a share of what falls off from it on both sides along an axis.

    The top point of an edge that lies level is anywhere on it: its heat is spread, and is gathered again.

    Args:
        heat: (B, H, W, C) scores, 0 or more.
        axis: 1 for columns, 2 for rows.
        weight: the share, 0 or more, 0.1 by default.

    Returns:
        (B, H, W, C).

    Source: Zhou et al. 2019, arXiv:1901.08043, section 4.3.
    """
    if not weight:
        return heat
    return heat + weight * (rising_sums(heat, axis, False) + rising_sums(heat, axis, True))


def join_extremes(
    top: Peaks,
    left: Peaks,
    bottom: Peaks,
    right: Peaks,
    centers,
    count: int,
    pairs: int | None = None,
    point_threshold: float = 0.1,
    center_threshold: float = 0.1,
):
    """Boxes of four points of one class in whose middle there is a centre, the best of all combinations.

    Args:
        top: K points an image, the top ones of objects.
        left: K left ones.
        bottom: K bottom ones.
        right: K right ones.
        centers: (B, H, W, C) scores of centres.
        count: number of boxes that are wanted.
        pairs: number of pairs of a top and a bottom, and of a left and a right point, the best ones, whose combinations
            are looked at; all K x K where None (default).
        point_threshold: score, 0 to 1, 0.1 by default, that points have at least.
        center_threshold: score, 0 to 1, 0.1 by default, that centres have at least.

    Returns:
        boxes (B, N, 4) xyxy in cells, scores (B, N), best first, labels (B, N) int32, and the points that each box is
        made of, (B, N, 4, 2) x and y of top, left, bottom and right; what is no object scores -1.

    Source: Zhou et al. 2019, arXiv:1901.08043, algorithm 1; in numbers as its authors' code.
    """
    height, width, classes = ops.shape(centers)[1:]
    # 1. P pairs of opposite points: scores and labels, and which of the points (B, P) each.
    tops, bottoms, upright, classes_of = _opposite(top, bottom, top.rows, bottom.rows, pairs, point_threshold)
    lefts, rights, level, of_level = _opposite(
        left, right, left.columns, right.columns, pairs, point_threshold
    )
    # 2. Where the points of upright pairs (B, P, 1), and those of level ones (B, 1, P), are.
    top_x, top_y, bottom_x, bottom_y = (
        ops.expand_dims(take_rows(cells, index), 2)
        for peaks, index in ((top, tops), (bottom, bottoms))
        for cells in (peaks.columns, peaks.rows)
    )
    left_x, left_y, right_x, right_y = (
        ops.expand_dims(take_rows(cells, index), 1)
        for peaks, index in ((left, lefts), (right, rights))
        for cells in (peaks.columns, peaks.rows)
    )
    # 3. What is in the middle of the box of each combination: (B, P, P).
    label = ops.expand_dims(classes_of, 2)
    cell = ((top_y + bottom_y) // 2 * width + (left_x + right_x) // 2) * classes + label
    number = upright.shape[1]
    flat = ops.reshape(centers, (-1, height * width * classes))
    center = ops.reshape(take_rows(flat, ops.reshape(cell, (-1, number * number))), (-1, number, number))
    # 4. Which combinations are those of an object, and the best of them.
    fits = ops.equal(label, ops.expand_dims(of_level, 1)) & (center >= center_threshold)
    fits = fits & (top_y <= ops.minimum(left_y, right_y)) & (bottom_y >= ops.maximum(left_y, right_y))
    fits = fits & (left_x <= ops.minimum(top_x, bottom_x)) & (right_x >= ops.maximum(top_x, bottom_x))
    fits = fits & ops.expand_dims(upright >= 0, 2) & ops.expand_dims(level >= 0, 1)
    total = (ops.expand_dims(upright, 2) + ops.expand_dims(level, 1) + 2 * center) / 6
    total = ops.reshape(ops.where(fits, total, REFUSED), (-1, number * number))
    scores, best = stable_top_k(total, min(count, number * number))
    one, other = best // number, best % number
    of_pairs = ((top, tops, one), (left, lefts, other), (bottom, bottoms, one), (right, rights, other))
    points = ops.stack(
        [
            ops.stack([take_rows(place, take_rows(index, pair)) for place in (peaks.x, peaks.y)], axis=-1)
            for peaks, index, pair in of_pairs
        ],
        axis=2,
    )  # (B, N, 4, 2)
    edges = (points[:, :, 1, 0], points[:, :, 0, 1], points[:, :, 3, 0], points[:, :, 2, 1])
    return ops.stack(edges, axis=-1), scores, take_rows(classes_of, one), points


def _opposite(first: Peaks, second: Peaks, low, high, pairs: int | None, threshold: float):
    """Pairs of points of one class on opposite edges, the best ones.

    Args:
        first: K points on the edge with the lower coordinate.
        second: K points on the other.
        low: (B, K) int32, that coordinate of the first ones.
        high: (B, K) int32, of the second ones.
        pairs: number of pairs, P; all where None.
        threshold: score that both have at least.

    Returns:
        the first and the second points (B, P) int32 into K, the sums of their scores (B, P), -1 where they are no
        pair, and their labels (B, P).
    """
    count = first.scores.shape[1]
    fits = ops.equal(ops.expand_dims(first.labels, 2), ops.expand_dims(second.labels, 1))  # (B, K, K)
    fits = fits & (ops.expand_dims(low, 2) <= ops.expand_dims(high, 1))
    enough = [peaks.scores >= threshold for peaks in (first, second)]
    fits = fits & ops.expand_dims(enough[0], 2) & ops.expand_dims(enough[1], 1)
    total = ops.expand_dims(first.scores, 2) + ops.expand_dims(second.scores, 1)
    total = ops.reshape(ops.where(fits, total, REFUSED), (-1, count * count))
    total, pair = stable_top_k(total, min(pairs or count * count, count * count))
    one = pair // count
    return one, pair % count, total, take_rows(first.labels, one)


def without_ghosts(boxes, scores, labels, factor: float = 3.0, least: float = 0.2):
    """Scores of boxes, halved where boxes of the class inside one, itself among them, score several times as much.

    Points of several objects in a row make one box around all of them.

    Args:
        boxes: (B, N, 4) xyxy.
        scores: (B, N), 0 where there is none.
        labels: (B, N) int.
        factor: how many times as much, 0 or more, 3 by default.
        least: score, 0 to 1, 0.2 by default, up to which boxes are left as they are.

    Returns:
        (B, N).

    Source: Zhou et al. 2019, arXiv:1901.08043, section 4.2, "Ghost box suppression". Its authors' code goes from box
        to box, and counts what it has halved so far by half.
    """
    outer, inner = ops.expand_dims(boxes, 2), ops.expand_dims(boxes, 1)  # (B, N, 1, 4), (B, 1, N, 4)
    inside = ops.equal(ops.expand_dims(labels, 2), ops.expand_dims(labels, 1))  # (B, N, N)
    inside = inside & ops.all(inner[..., :2] >= outer[..., :2], axis=-1)
    inside = inside & ops.all(inner[..., 2:] <= outer[..., 2:], axis=-1)
    total = ops.sum(ops.where(inside, ops.expand_dims(scores, 1), 0.0), axis=-1)
    ghost = ops.logical_and(scores > least, total > factor * scores)
    return ops.where(ghost, scores / 2, scores)


def whose_points(kept_boxes, kept_labels, boxes, labels, points):
    """The points of boxes that a suppression has left, which does not tell where it has them from.

    Args:
        kept_boxes: (B, D, 4) xyxy. Some suppressions move boxes: the nearest one's points are taken.
        kept_labels: (B, D) int, -1 where there is none.
        boxes: (B, N, 4) of all boxes, best first.
        labels: (B, N) int.
        points: (B, N, 4, 2).

    Returns:
        (B, D, 4, 2), 0 where there is no box.
    """
    off = ops.sum(ops.abs(ops.expand_dims(kept_boxes, 2) - ops.expand_dims(boxes, 1)), axis=-1)  # (B, D, N)
    alike = ops.equal(ops.expand_dims(kept_labels, 2), ops.expand_dims(labels, 1))
    # Keras's `argmin` becomes operators that TFLite and ONNX lack.
    nearest = stable_top_k(ops.where(alike, -off, -1e9), 1)[1][..., 0]
    found = take_rows(points, nearest)  # (B, D, 4, 2)
    there = ops.cast(kept_labels >= 0, found.dtype)
    return found * ops.reshape(there, (-1, kept_boxes.shape[1], 1, 1))
