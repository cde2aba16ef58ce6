"""Boxes from peaks that were found at their corners, and what a peak in their middle says of them."""

from __future__ import annotations

from typing import NamedTuple

from keras import ops

from kzoo.ops.gather import stable_top_k, take_rows

REFUSED = -1.0  # score of what is no object


class Peaks(NamedTuple):
    """Peaks of a heat map, K an image, best first.

    Attributes:
        scores: (B, K), 0 to 1.
        labels: (B, K) int32.
        columns: (B, K) int32, the cells they are in.
        rows: (B, K) int32.
        x: (B, K) where they are, in cells.
        y: (B, K).
        tags: (B, K) numbers that are alike for points of one object; None where there are none.
    """

    scores: object
    labels: object
    columns: object
    rows: object
    x: object
    y: object
    tags: object = None


def pair_corners(first: Peaks, second: Peaks, tag_distance: float, count: int):
    """Boxes of a top left and a bottom right corner that may belong together, the best of all pairs.

    They have one class and tags that are near each other, and lie as corners of a box do. What scores 0 is no corner:
    where a map has fewer peaks than are asked for, the rest is cells of no meaning, and other ones in every runtime.

    Args:
        first: K top left corners an image.
        second: K bottom right corners an image.
        tag_distance: how far apart tags may be, 0 or more.
        count: number of boxes that are wanted.

    Returns:
        boxes (B, N, 4) xyxy in cells, scores (B, N), the means of both corners', best first, and labels (B, N) int32;
        N is `count`, or K x K where that is less. Pairs that do not belong together score -1.

    Source: Law & Deng 2018, CornerNet, arXiv:1808.01244, section 4.1, "Testing details".
    """

    def both(one, other):
        return ops.expand_dims(one, 2), ops.expand_dims(other, 1)  # (B, K, 1), (B, 1, K)

    (x1, x2), (y1, y2) = both(first.x, second.x), both(first.y, second.y)
    (label, other), (tag, its) = both(first.labels, second.labels), both(first.tags, second.tags)
    (score, another) = both(first.scores, second.scores)
    fits = ops.equal(label, other) & (ops.abs(tag - its) <= tag_distance) & (x2 >= x1) & (y2 >= y1)
    fits = fits & (score > 0) & (another > 0)
    scores = ops.where(fits, (score + another) / 2, REFUSED)  # (B, K, K)
    peaks = first.scores.shape[1]
    scores, pair = stable_top_k(ops.reshape(scores, (-1, peaks * peaks)), min(count, peaks * peaks))
    one, other = pair // peaks, pair % peaks
    corners = ((first.x, one), (first.y, one), (second.x, other), (second.y, other))
    boxes = ops.stack([take_rows(values, index) for values, index in corners], axis=-1)
    return boxes, scores, take_rows(first.labels, one)


def center_scores(boxes, scores, labels, centers: Peaks, small_area: float = 150.0**2):
    """Scores of boxes that have a centre of their class in their middle; the others are no objects.

    The middle is the central third of a box's sides, of large boxes the central fifth.

    Args:
        boxes: (B, N, 4) xyxy pixels.
        scores: (B, N).
        labels: (B, N) int32.
        centers: centres, K an image, best first; x and y in pixels. A score of 0 is no centre.
        small_area: square pixels, 0 or more, 22,500 by default, up to which a box counts as small.

    Returns:
        (B, N): a third of the centre's score, of several the first one's, and two thirds of the box's; -1 where there
        is no centre, or was none before.

    Source: Duan et al. 2019, CenterNet: Keypoint Triplets, arXiv:1904.08189, section 3.2; sizes as its authors' code.
    """
    sides = boxes[..., 2:] - boxes[..., :2]  # (B, N, 2)
    small = ops.expand_dims(sides[..., 0] * sides[..., 1] <= small_area, -1)
    low = boxes[..., :2] + ops.where(small, sides / 3, sides * 2 / 5)
    high = boxes[..., 2:] - ops.where(small, sides / 3, sides * 2 / 5)
    inside = ops.equal(ops.expand_dims(labels, 2), ops.expand_dims(centers.labels, 1))  # (B, N, K)
    for axis, values in enumerate((centers.x, centers.y)):
        there = ops.expand_dims(values, 1)
        inside = inside & (there > low[..., axis : axis + 1]) & (there < high[..., axis : axis + 1])
    inside = inside & ops.expand_dims(scores >= 0, 2) & ops.expand_dims(centers.scores > 0, 1)
    count = centers.scores.shape[1]
    first = ops.min(ops.where(inside, ops.arange(count, dtype="int32"), count), axis=-1)  # (B, N)
    center = take_rows(centers.scores, ops.minimum(first, count - 1))
    return ops.where(first < count, (2 * scores + center) / 3, REFUSED)
