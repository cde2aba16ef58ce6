"""Videos that are no files: cameras, addresses of streams, pipes."""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from kzoo.sources.video import Timed, rate_of
from kzoo.system.quiet import native_output_hidden

_STREAMS = ("rtsp", "rtsps", "rtmp", "tcp", "udp")
_ADDRESS = re.compile(rf"^({'|'.join(_STREAMS)}):/+")
STDIN = "-"


def is_live(source) -> bool:
    """Whether a source is a camera's number, the address of a stream, or a pipe: "-" or a named one.

    Example:
        >>> is_live("0"), is_live("rtsp://10.0.0.1/x"), is_live("street.mp4")
        (True, True, False)
    """
    if not isinstance(source, (str, Path)):
        return False
    text = str(source)
    if text == STDIN:
        return True
    if Path(text).exists():
        return stat.S_ISFIFO(Path(text).stat().st_mode)
    return text.isdecimal() or _ADDRESS.match(text) is not None


class Stream:
    """The frames of a camera, an address or a pipe, one after the other, until it ends.

    Args:
        source: a camera's number, such as "0"; an address, such as "rtsp://10.0.0.1:554/x"; a named pipe, or "-" for
            what comes in on stdin.
        patience: seconds that an address may take to answer or to give the next frame, above 0.

    Attributes:
        path: what results are called after.
        rate: frames a second, as the source says.
        waits: whether the source waits until its frames are read, as a pipe does; the others go on, and those who
            read must leave frames out rather than lag.

    Raises:
        ValueError: it cannot be read.

    Example:
        >>> for when, frame in Stream("0").timed():
        ...     detections = model.detect(frame)
    """

    def __init__(self, source: str | Path, patience: float = 5.0):
        self._text, self._patience = _ADDRESS.sub(r"\1://", str(source)), patience
        self.waits = self._text == STDIN or Path(self._text).exists()
        self.path, self.live = Path(f"{self.name_of(source)}.mp4"), True
        self.frames = self.missing = 0
        with native_output_hidden():
            self._capture = self._open()
        if not self._capture.isOpened():
            raise ValueError(f"{self._text}: {self._refusal()}")
        self.rate = rate_of(self._capture)

    @staticmethod
    def name_of(source: str | Path) -> str:
        """What results of a source are called: "camera-0", "pipe", or a pipe's or an address's own, without password.

        Args:
            source: what a `Stream` takes.
        """
        words = re.sub(r"//[^/@]*@", "//", str(source))
        words = Path(words).name if Path(words).exists() else words
        name = "pipe" if words == STDIN else re.sub(r"[^\w.-]+", "-", words).strip("-.")
        return f"camera-{name}" if name.isdecimal() else name

    def _open(self) -> cv2.VideoCapture:
        if self._text.isdecimal():
            return cv2.VideoCapture(int(self._text))
        milliseconds = round(1000 * self._patience)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds, cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds]
        if self._text == STDIN:
            return cv2.VideoCapture("pipe:0", cv2.CAP_FFMPEG)
        return cv2.VideoCapture(self._text, cv2.CAP_FFMPEG, [] if self.waits else limits)

    def _refusal(self) -> str:
        if self._text.isdecimal():
            return "no camera of this number answers; connect it, close what else uses it, or give another number"
        if self.waits:
            return (
                "the pipe ended before a frame came, or holds no video; send one in a format that "
                "needs no seeking, such as MPEG-TS or Matroska"
            )
        return (
            f"no video comes from this address within {self._patience:g} s; look whether the camera is on, and at its "
            "name, port, path and password"
        )

    def timed(self) -> Iterator[Timed]:
        """Frames (H, W, 3) uint8 RGB, each with the seconds since the first one.

        Raises:
            ValueError: there is not one frame.
        """
        began, count = None, 0
        try:
            while True:
                read, frame = self._capture.read()
                if not read:
                    break
                # A pipe's frames have times of their own; those of a camera are when they come.
                now = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 if self.waits else time.monotonic()
                began, count = now if began is None else began, count + 1
                yield now - began, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            self._capture.release()
        if not count:
            raise ValueError(f"{self._text}: {self._refusal()}")
