"""Videos: their frames one after the other, and files of frames."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from kzoo.system.files import replacing
from kzoo.system.quiet import native_output_hidden
from kzoo.system.reading import refuse_unfit

_LARGEST = 2**63  # bytes of a file: it is read a frame at a time
_BROKEN_AT_MOST = 500  # frames in a row that cannot be decoded, before the rest of a video is given up


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

    Raises:
        ValueError: it cannot be read, or none of its frames can.

    Example:
        >>> for frame in Video("street.mp4"):
        ...     detections = model.detect(frame)
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        capture = self._open()
        self.frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.missing = 0
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else 25.0
        capture.release()

    def _open(self) -> cv2.VideoCapture:
        refuse_unfit(self.path, _LARGEST)
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise ValueError(f"{self.path}: not a video that OpenCV can read; convert it, or remove it")
        return capture

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames (H, W, 3) uint8 RGB."""
        capture, count, broken = self._open(), 0, 0
        try:
            # OpenCV says no at a broken frame as it does at the end: only the announced number tells which it is.
            while broken <= _BROKEN_AT_MOST:
                read, frame = capture.read()
                if read:
                    count, broken = count + 1, 0
                    yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                elif count + broken >= self.frames:
                    break
                else:
                    broken += 1
        finally:
            capture.release()
        if not count:
            raise ValueError(f"{self.path}: no frame of this video can be decoded; convert it, or remove it")
        self.missing = max(0, self.frames - count)


class VideoWriter:
    """Takes the frames of a video that is being written; the first one decides its size.

    Args:
        path: the file that is written, beside the target.
        target: the file that it becomes, for messages.
        rate: frames a second.
    """

    def __init__(self, path: Path, target: Path, rate: float):
        self._path = path
        self._target = target
        self._rate = rate
        self._frames = 0
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame: (H, W, 3) uint8 RGB.

        Raises:
            OSError: OpenCV cannot write the file.
        """
        if self._writer is None:
            size = (frame.shape[1], frame.shape[0])
            self._writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter_fourcc(*"mp4v"), self._rate, size)
            if not self._writer.isOpened():
                raise OSError(f"{self._target}: OpenCV cannot write this video; give another folder")
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self._frames += 1

    def close(self) -> None:
        """Finishes the file."""
        if self._writer is not None:
            self._writer.release()

    def check(self) -> None:
        """Looks whether the finished file holds every frame; OpenCV does not tell of a full disk.

        Raises:
            OSError: it does not.
        """
        if not self._frames:
            return  # there is no file, which is told where it is missed
        capture = cv2.VideoCapture(str(self._path))
        held = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        last = capture.set(cv2.CAP_PROP_POS_FRAMES, max(0, held - 1)) and capture.read()[0]
        capture.release()
        if held < self._frames or not last:
            raise OSError(
                f"{self._target}: the video could not be written whole, {held} of {self._frames} frames; is the disk "
                "full? make room, or give another folder"
            )


@contextlib.contextmanager
def writing_video(target: str | Path, rate: float) -> Iterator[VideoWriter]:
    """Writes an MP4 file, whole or not at all.

    Args:
        target: the file to write, .mp4.
        rate: frames a second.

    Yields:
        The `VideoWriter` that takes the frames; at least one must come.

    Raises:
        OSError: it cannot be written.

    Example:
        >>> with writing_video("boxes.mp4", rate=25) as video:
        ...     for frame in Video("street.mp4"):
        ...         video.write(model.detect(frame).draw())
    """
    with replacing(target) as fresh, _warnings_hidden():
        writer = VideoWriter(fresh, Path(target), rate)
        try:
            yield writer
        finally:
            writer.close()
        with native_output_hidden():
            writer.check()


@contextlib.contextmanager
def _warnings_hidden() -> Iterator[None]:
    """While a video is written: OpenCV's line a frame that found no room on the disk."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)
