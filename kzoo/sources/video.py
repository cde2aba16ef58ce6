"""Video files: their frames one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from kzoo.system.reading import refuse_unfit

_LARGEST = 2**63  # bytes of a file: it is read a frame at a time
_BROKEN_AT_MOST = 500  # frames in a row that cannot be decoded, before the rest of a video is given up

Timed = tuple[float, np.ndarray]  # seconds since the first frame, and a frame (H, W, 3) uint8 RGB


def rate_of(capture: cv2.VideoCapture) -> float:
    """Frames a second of an opened video; 25 where it says nothing sensible."""
    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if 0 < rate < 1000 else 25.0


class Video:
    """The frames of a video file, one after the other.

    A frame that cannot be decoded is passed over; `missing` counts such frames, and those that the file announces and
    does not hold.

    Args:
        path: a video that OpenCV can read.

    Attributes:
        frames: how many there are, as the file says; it may not know, and say 0.
        missing: after a pass over all frames, how many of `frames` could not be decoded.
        rate: frames a second.
        live: whether it goes on whether it is read or not; a file does not.
        waits: whether it waits to be read; a file does.

    Raises:
        ValueError: it cannot be read, or none of its frames can.

    Example:
        >>> for frame in Video("street.mp4"):
        ...     detections = model.detect(frame)
    """

    live, waits = False, True

    def __init__(self, path: str | Path):
        self.path = Path(path)
        capture = self._open()
        self.frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.missing = 0
        self.rate = rate_of(capture)
        capture.release()

    def _open(self) -> cv2.VideoCapture:
        refuse_unfit(self.path, _LARGEST)
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise ValueError(f"{self.path}: not a video that OpenCV can read; convert it, or remove it")
        return capture

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames (H, W, 3) uint8 RGB."""
        return (frame for _, frame in self.timed())

    def timed(self) -> Iterator[Timed]:
        """Frames (H, W, 3) uint8 RGB, each with the seconds since the first one that the file says."""
        capture, count, broken, began = self._open(), 0, 0, 0.0
        try:
            # OpenCV says no at a broken frame as it does at the end: only the announced number tells which it is.
            while broken <= _BROKEN_AT_MOST:
                read, frame = capture.read()
                if read:
                    now = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                    began = began if count else now
                    count, broken = count + 1, 0
                    yield now - began, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                elif count + broken >= self.frames:
                    break
                else:
                    broken += 1
        finally:
            capture.release()
        if not count:
            raise ValueError(f"{self.path}: no frame of this video can be decoded; convert it, or remove it")
        self.missing = max(0, self.frames - count)
