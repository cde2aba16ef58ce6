"""The ways of assigning points, by name."""

from __future__ import annotations

from collections.abc import Sequence

from kzoo.ops.assign.atss import atss
from kzoo.ops.assign.common import PointAssignment
from kzoo.ops.assign.sim_ota import sim_ota
from kzoo.ops.assign.task_aligned import task_aligned

POINT_ASSIGNERS = ("task-aligned", "sim-ota", "atss")


def assign_points(
    assigner: str,
    scores,
    predicted,
    points,
    boxes,
    labels,
    strides,
    counts: Sequence,
    best: int | None = None,
    overlap: str = "ciou",
    score_power: float = 0.5,
    overlap_power: float = 6.0,
    least_side: float = 0.0,
    anywhere: bool = False,
    radius: float = 1.5,
) -> PointAssignment:
    """Which object each of N points is to find.

    Args:
        assigner: one of `POINT_ASSIGNERS`; arguments that it does not know have no effect.
        scores: (B, N, C) scores of the classes, 0 to 1.
        predicted: (B, N, 4) boxes as they are predicted by now, xyxy pixels.
        points: (N, 2) x and y in pixels of where the predictions stand, level by level.
        boxes: (B, M, 4) the objects' boxes, xyxy pixels, as `sound_boxes` leaves them.
        labels: (B, M) int, -1 for none.
        strides: (N,) pixels from each point to the next of its level.
        counts: number of points of each level.
        best: how many points an object gets at most, of "atss" a level; where None (default) what the function has.
        overlap: "ciou" (default) or "iou", of "task-aligned".
        score_power: exponent of scores, 0 or more, 0.5 by default, of "task-aligned".
        overlap_power: exponent of overlaps, 0 or more, 6 by default, of "task-aligned".
        least_side: pixels that an object's sides are widened to, 0 by default, of "task-aligned".
        anywhere: whether a point may go to an object that it is not inside of, of "task-aligned"; False by default.
        radius: strides around an object's centre, 1.5 by default, of "sim-ota".
    """
    known = {} if best is None else {"best": best}
    if assigner == "sim-ota":
        return sim_ota(scores, predicted, points, boxes, labels, strides, radius=radius, **known)
    if assigner == "atss":
        return atss(predicted, points, boxes, labels, strides, counts, **known)
    options = (score_power, overlap_power, overlap, least_side, anywhere)
    return task_aligned(scores, predicted, points, boxes, labels, best or 10, *options)
