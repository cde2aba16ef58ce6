"""What can be looked at: an image, a folder, a glob, a video file, or several of these."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from kzoo.data.formats.finding import IMAGE_SUFFIXES, files_in, walk_files
from kzoo.system.files import refuse_address, replacing
from kzoo.system.quiet import native_output_hidden

log = logging.getLogger("kzoo")

VIDEO_SUFFIXES = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)
_WILDCARDS = frozenset("*?[")
_BROKEN_AT_MOST = 500  # frames in a row that cannot be decoded, before the rest of a video is given up


def chunks(items: Iterable, size: int) -> Iterator[list]:
    """Up to `size` items at a time."""
    items = iter(items)
    while chunk := list(islice(items, size)):
        yield chunk


def is_video(path: str | Path) -> bool:
    """Whether a file's suffix is that of a video."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def expand(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """The image and video files that a source means, sorted within each folder or pattern.

    Hidden files, whose names begin with a dot, are passed over unless they are named; how many other files a folder
    has that are neither images nor videos is said.

    Args:
        source: a file; a folder, whose images and videos are taken, but not those of folders in it; a glob
            such as "street/**/*.jpg"; or a list of these.

    Raises:
        FileNotFoundError: there is nothing at a path, or nothing matches a pattern.
        ValueError: a folder holds neither image nor video; or it is a camera's number or an address, neither of which
            is read.

    Example:
        >>> expand(["street.jpg", "clips"])    # clips/ holds a.mp4 and notes.txt
        [PosixPath('street.jpg'), PosixPath('clips/a.mp4')]
    """
    if not isinstance(source, (str, Path)):
        paths = [path for one in source for path in expand(one)]
        if not paths:
            raise ValueError("no sources; give an image, a folder, a glob or a video file")
        return list(dict.fromkeys(paths))
    path = Path(source)
    if path.is_dir():
        files = files_in(path)
        paths = [one for one in files if _is_picture(one)]
        if not paths:
            raise ValueError(
                f"{path}: no images or videos in this folder; for folders below it give {path}/**/*"
            )
        _tell_of_others(path, files)
        return paths
    if path.exists():
        return [path]
    if str(source).isdecimal():
        raise ValueError(f"{source}: cameras are not read; record a video file and give that")
    refuse_address(
        source, "addresses are not read; download the picture or record the video, and give that file"
    )
    if not _WILDCARDS & set(str(source)):
        raise FileNotFoundError(f"{path}: no such image, folder or video")
    paths = [one for one in _matches(path) if _is_picture(one)]
    if not paths:
        raise FileNotFoundError(f"{path}: no image or video matches this pattern")
    return paths


def _matches(pattern: Path) -> list[Path]:
    """The files that match a pattern, sorted; "**" stands for any folders, links to such among them."""
    # What lies before the first wildcard is where to start from.
    fixed = next(i for i, part in enumerate(pattern.parts) if _WILDCARDS & set(part))
    start, wild = Path(*pattern.parts[:fixed]), pattern.parts[fixed:]
    if any("**" in part for part in wild):  # `Path.glob` follows no links there
        return [path for path in walk_files(start) if _fits(path.relative_to(start).parts, wild)]
    files = (path for path in start.glob(str(Path(*wild))) if path.is_file())
    return sorted(path for path in files if not _is_hidden_match(path.relative_to(start).parts, wild))


def _is_hidden_match(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a wildcard, and no dot of the pattern, stands for the dot of a hidden name."""
    return any(part[0] == "." != wild[0] for part, wild in zip(parts, pattern, strict=False))


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path's parts match a pattern's, of which "**" stands for any number of folders."""
    if not pattern or not parts:
        return not parts and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return _fits(parts, pattern[1:]) or _fits(parts[1:], pattern)
    return fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def _is_picture(path: Path) -> bool:
    return is_video(path) or path.suffix.lower() in IMAGE_SUFFIXES


def _tell_of_others(folder: Path, files: list[Path]) -> None:
    """Logs how many files of a folder are neither images nor videos."""
    others = Counter(path.suffix.lower() or "no suffix" for path in files if not _is_picture(path))
    if others:
        kinds = ", ".join(f"{suffix} {count}" for suffix, count in sorted(others.items()))
        log.warning("%s: files that are neither images nor videos are passed over: %s", folder, kinds)


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
