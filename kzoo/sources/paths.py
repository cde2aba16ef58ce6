"""What can be looked at: an image, a folder, a glob, a video file, or several of these."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

from kzoo.sources.finding import IMAGE_SUFFIXES, files_in, walk_files
from kzoo.system.files import refuse_address

log = logging.getLogger("kzoo")

VIDEO_SUFFIXES = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)
_WILDCARDS = frozenset("*?[")


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
        ValueError: a folder holds neither image nor video; or it is a camera's number or an address, which is looked
            at alone, or not at all.

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
        raise ValueError(f"{source}: a camera, which is looked at alone; give it as the only source")
    refuse_address(
        source,
        "download the picture or record the video, and give that file; a camera's stream is looked at alone",
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
