"""How many tracked objects cross a line, and how many are in a zone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kzoo.structures import Detections


class LineCounter:
    """Counts the tracked objects whose middle crosses a line, in either direction, each crossing once.

    Args:
        start, end: two different points x, y in pixels, between which the line lies.

    Attributes:
        forward: how many went from the left of the line to its right, as one walks from start to end.
        backward: how many went from right to left.
        points: (2, 2), both points.

    Raises:
        ValueError: the points are no two points.

    Example:
        >>> line = LineCounter((320, 0), (320, 480))
        >>> for detections in kzoo.track(model, "street.mp4"):
        ...     line.update(detections)
        >>> line.forward, line.backward
        (12, 9)
    """

    def __init__(self, start: Sequence[float], end: Sequence[float]):
        self.start, self.end = _points([start, end], "line", 2)
        if (self.start == self.end).all():
            raise ValueError(f"line: {tuple(self.start)} twice; give two different points x, y")
        self.points = np.stack([self.start, self.end])
        self.forward = self.backward = 0
        self._before: dict[int, np.ndarray] = {}  # the last middle of each object that was on no line

    def update(self, detections: Detections) -> None:
        """Counts what has crossed the line since the frame before.

        Args:
            detections: the next frame's, with `ids`.
        """
        for middle, number in _middles(detections, "a line"):
            side = self._side(middle)
            if side == 0:
                continue
            before = self._before.get(number)
            self._before[number] = middle
            if before is not None and self._side(before) != side and self._meets(before, middle):
                self.forward += side > 0
                self.backward += side < 0

    def counts(self) -> dict:
        """Plain data for JSON: `{"forward", "backward"}`."""
        return {"forward": self.forward, "backward": self.backward}

    def _side(self, point: np.ndarray) -> int:
        """1 right of the line, as one walks along it with y pointing down, -1 left of it, 0 on it."""
        return int(np.sign(_cross(self.end - self.start, point - self.start)))

    def _meets(self, before: np.ndarray, now: np.ndarray) -> bool:
        """Whether the way between two points on different sides goes between the line's ends."""
        way = now - before
        return _cross(way, self.start - before) * _cross(way, self.end - before) <= 0


class ZoneCounter:
    """Counts the tracked objects whose middle is in a polygon.

    Args:
        corners: three points x, y in pixels or more.

    Attributes:
        now: how many are in it in the last frame.
        ids: numbers of all that have been in it.
        points: (N, 2), its corners.

    Raises:
        ValueError: there are less than three points, or they are none.

    Example:
        >>> zone = ZoneCounter([(0, 0), (100, 0), (100, 100), (0, 100)])
    """

    def __init__(self, corners: Sequence[Sequence[float]]):
        self.points = _points(corners, "zone", 3)
        self.now, self.ids = 0, set()

    def update(self, detections: Detections) -> None:
        """Looks who is in the zone.

        Args:
            detections: the next frame's, with `ids`.
        """
        inside = {number for middle, number in _middles(detections, "a zone") if self._holds(middle)}
        self.now = len(inside)
        self.ids |= inside

    def counts(self) -> dict:
        """Plain data for JSON: `{"now", "all"}`."""
        return {"now": self.now, "all": len(self.ids)}

    def _holds(self, point: np.ndarray) -> bool:
        """Whether a ray from the point to the right meets an odd number of edges."""
        a, b = self.points, np.roll(self.points, -1, 0)  # (N, 2)
        across = (a[:, 1] > point[1]) != (b[:, 1] > point[1])
        a, b = a[across], b[across]
        x = a[:, 0] + (point[1] - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
        return bool(np.count_nonzero(x > point[0]) % 2)


def _cross(a: np.ndarray, b: np.ndarray) -> float:
    return a[0] * b[1] - a[1] * b[0]


def _points(points, what: str, least: int) -> np.ndarray:
    """Points as (N, 2) float64."""
    array = np.asarray(points, np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or len(array) < least or not np.isfinite(array).all():
        raise ValueError(
            f"{what}={points}: give {least} points x, y in pixels{' or more' if least > 2 else ''}"
        )
    return array


def _middles(detections: Detections, what: str):
    """(middle (2,), number) of each object whose identity is known."""
    if detections.ids is None:
        raise ValueError(f"{what} counts tracked objects, and these have no ids; take them from kzoo.track")
    middles = (detections.boxes[:, :2] + detections.boxes[:, 2:]).astype(np.float64) / 2
    return [
        (middle, number)
        for middle, number in zip(middles, detections.ids.tolist(), strict=True)
        if number > 0
    ]
