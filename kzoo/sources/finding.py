"""Which files and folders there are, and which of them a written path means.

Readers of datasets and predictions list folders through this file, so that all of them pass over the same names (those
that begin with a dot, as Jupyter's checkpoints and macOS's resource forks do), go through links to folders, and take
the same kinds of images.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

_DECODED = (
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".hdr", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pam", ".pbm", ".pgm",
    ".pic", ".pjp", ".pjpeg", ".png", ".pnm", ".ppm", ".ras", ".sr", ".tif", ".tiff", ".webp",
)  # fmt: skip
# OpenCV's wheels do not read these; they are found all the same, so that they are told of and not passed over.
_TOLD_OF = (".heic", ".heif", ".jxl")
IMAGE_SUFFIXES = frozenset((*_DECODED, *_TOLD_OF))
_OF_SYSTEMS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"})
_DEEPEST = 32  # folders of a written path that are looked for
_DRIVE = re.compile(r"^[A-Za-z]:")


def is_hidden(path: Path) -> bool:
    """Whether a name begins with a dot, or is that of a folder where systems put what they make of images."""
    return _is_hidden_name(path.name)


def _is_hidden_name(name: str) -> bool:
    return name.startswith(".") or name in _OF_SYSTEMS


def is_image(path: Path) -> bool:
    """Whether a name is that of an image: not hidden, and with a suffix of `IMAGE_SUFFIXES` in any letter case."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(path)


def child_of(folder: Path, name: str) -> Path:
    """The file or folder of that name in a folder, in any letter case; where it should be if there is none.

    Example:
        >>> child_of(Path("kaggle"), "Annotations")   # it has annotations/
        PosixPath('kaggle/annotations')
    """
    exact = folder / name
    if not folder.is_dir() or exact.exists():
        return exact
    alike = [path for path in folder.iterdir() if path.name.lower() == name.lower()]
    return min(alike, default=exact)


def files_in(folder: Path, suffixes: Collection[str] | None = None) -> list[Path]:
    """The files of a folder itself, sorted, without hidden ones; none where there is no such folder.

    Links that lead nowhere are among them: who reads them is told what is missing.

    Args:
        folder: the folder.
        suffixes: lower-case suffixes with their dot; any where None.
    """
    return _listing(folder, suffixes)[0]


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder and links to such, sorted, without hidden ones; none where there is no such folder."""
    return _listing(folder, ())[1]


def _listing(folder: Path, suffixes: Collection[str] | None) -> tuple[list[Path], list[Path]]:
    """Files and folders of a folder, sorted, from one reading of it."""
    files, folders = [], []
    if not folder.is_dir():
        return files, folders
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_hidden_name(entry.name):
                continue
            if entry.is_dir():
                folders.append(folder / entry.name)
                continue
            path = folder / entry.name
            if (suffixes is None or path.suffix.lower() in suffixes) and (
                entry.is_file() or entry.is_symlink()
            ):
                files.append(path)
    return sorted(files), sorted(folders)


def walk_files(folder: Path, suffixes: Collection[str] | None = None) -> list[Path]:
    """The files in a folder and below it, sorted, through links to folders, without hidden files and folders.

    A link to a folder that it lies in itself is not followed, so the walk ends.

    Args:
        folder: where to begin; it may itself be hidden or a link.
        suffixes: lower-case suffixes with their dot; any where None.
    """
    return sorted(_walk(folder, suffixes))


def _walk(folder: Path, suffixes: Collection[str] | None) -> Iterator[Path]:
    waiting = [(folder, frozenset({os.path.realpath(folder)}))]
    while waiting:
        here, above = waiting.pop()
        files, folders = _listing(here, suffixes)
        yield from files
        for below in folders:
            real = os.path.realpath(below)
            if real not in above:
                waiting.append((below, above | {real}))


def has_file(folder: Path, suffixes: Collection[str]) -> bool:
    """Whether a folder or one below it has a file with one of these suffixes, looking no further than the first."""
    return any(True for _ in _walk(folder, suffixes))


def images_in(folder: Path) -> list[Path]:
    """The image files in a folder and below it, sorted."""
    return walk_files(folder, IMAGE_SUFFIXES)


def split_path(written: str) -> list[str]:
    """The parts of a path as any system writes it: without a drive, a leading slash, "." and leading "..".

    Example:
        >>> split_path(r"C:\\data\\images\\a.jpg"), split_path("../images/a.jpg")
        (['data', 'images', 'a.jpg'], ['images', 'a.jpg'])
    """
    parts = [part for part in _DRIVE.sub("", written).replace("\\", "/").split("/") if part not in ("", ".")]
    begin = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    return parts[begin:]


def existing_path(
    written: str | Path, bases: Iterable[Path], unchanged_below: Iterable[Path] = ()
) -> Path | None:
    """The file or folder that a written path means here; None where there is none.

    Datasets move from machine to machine, their lists do not follow: paths in them are absolute, of Windows, or begin
    with a folder of the tool that wrote them. So the path as it stands comes first, below each base; then its
    longest tail that exists, a base at a time for each tail.

    Args:
        written: the path as a file has it, with `/` or `\\`.
        bases: the folders that it may count from, the likeliest first.
        unchanged_below: further folders that the path as it stands may count from, such as the current one.

    Example:
        >>> existing_path("data/obj_train_data/a.jpg", [Path("export")])   # export/obj_train_data/a.jpg is there
        PosixPath('export/obj_train_data/a.jpg')
    """
    bases, unchanged_below, text = list(bases), list(unchanged_below), str(written)
    path = _existing(text, bases, unchanged_below)
    if path is None and not text.isascii():
        # macOS writes letters and their accents apart, others as one letter.
        forms = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
        others = (_existing(form, bases, unchanged_below) for form in forms if form != text)
        path = next((other for other in others if other is not None), None)
    return path


def _existing(written: str, bases: list[Path], unchanged_below: Iterable[Path]) -> Path | None:
    """As `existing_path`, with letters as they are written."""
    for base in (*bases, *unchanged_below):
        if is_there(base / written):
            return base / written
    # Deeper trees than this are none of people's, and the work for each line of a list has its bounds.
    parts = split_path(written)[-_DEEPEST:]
    for start in range(len(parts)):
        tail = Path(*parts[start:])
        for base in bases:
            if is_there(base / tail):
                return base / tail
    return None


def is_name(path: Path) -> bool:
    """Whether a file of this path could be: no file system takes names of more than 255 bytes."""
    return len(os.fsencode(path)) < 4096 and all(len(os.fsencode(part)) <= 255 for part in path.parts)


def is_there(path: Path) -> bool:
    """Whether a file or folder exists; no name is an error, were it too long for any."""
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long for the file system, or with a zero byte
        return False
