"""Annotations of formats that are not read: which they are, and what their tools write that is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from kzoo.data.formats.text import peek, shorten
from kzoo.data.parts import is_usual_split
from kzoo.sources.finding import IMAGE_SUFFIXES, files_in, folders_in, is_image

_GLANCE = 20  # files of a kind
_BEGINNING = 2**16  # bytes of a file
_KINDS = frozenset({".json", ".xml", ".csv", ".txt", ".tfrecord"})
_EXPORT = "export it as COCO, YOLO or Pascal VOC"
_CONVERT = "convert it to COCO, YOLO or Pascal VOC"
# Words that all stand at the beginning of a file, by its suffix; what writes such files, and what to do.
_MARKS = (
    (".json", ('"shapes"', '"imagePath"'), "labelme's JSON", "labelme2coco and labelme2yolo convert it"),
    (".json", ('"coordinates"', '"annotations"', '"image"'), "CreateML's JSON", _EXPORT),
    (".json", ('"shape_attributes"',), "VIA's JSON", "let VIA export annotations as COCO"),
    (".csv", ("region_shape_attributes",), "VIA's CSV", "let VIA export annotations as COCO"),
    (".json", ('"classTitle"', '"objects"'), "Supervisely's JSON", _EXPORT),
    (".json", ('"objects"', '"size"', '"tags"'), "Supervisely's JSON", _EXPORT),
    (".json", ('"objects"', '"size"', '"height"'), "Supervisely's JSON", _EXPORT),
    (".json", ('"items"', '"categories"', '"label"'), "Datumaro's JSON", _EXPORT),
    (".json", ('"result"', '"annotations"', '"data"'), "Label Studio's own JSON", _EXPORT),
    (".xml", ("<annotations", "<image "), "CVAT's XML", _EXPORT),
    (".tfrecord", (), "TFRecord", _EXPORT),
)  # fmt: skip


def name_foreign(root: Path) -> str | None:
    """What a file or folder holds that is no dataset kzoo reads, and what to do; None where it is not known.

    Args:
        root: the file, or the folder; only some of its files are looked at.

    Example:
        >>> name_foreign(Path("labelled"))
        "labelled/a.json is labelme's JSON, which is not read; labelme2coco and labelme2yolo convert it"
    """
    for path in [root] if root.is_file() else _some_files(root):
        what_and_remedy = _of_file(path)
        if what_and_remedy is not None:
            what, remedy = what_and_remedy
            return f"{path} is {what}, which is not read; {remedy}"
    return _of_folders(root) if root.is_dir() else None


def _some_files(root: Path) -> Iterator[Path]:
    """The first files of each kind in a folder, and in those one or two below."""
    below = list(itertools.islice(folders_in(root), _GLANCE))
    deeper = [inner for folder in below for inner in itertools.islice(folders_in(folder), _GLANCE)]
    for kind in sorted(_KINDS):
        files = (path for folder in (root, *below, *deeper) for path in files_in(folder, {kind}))
        yield from itertools.islice(files, _GLANCE)


def _of_file(path: Path) -> tuple[str, str] | None:
    suffix = path.suffix.lower()
    if suffix not in _KINDS:
        return None
    lines = peek(path, _BEGINNING)
    beginning = "\n".join(lines)
    for kind, words, what, remedy in _MARKS:
        if kind == suffix and all(word in beginning for word in words):
            return what, remedy
    first = next((line for line in lines if line.strip()), "").split()
    if (
        suffix == ".txt"
        and len(first) in (15, 16)
        and not _is_number(first[0])
        and all(map(_is_number, first[1:]))
    ):
        return "KITTI's label file", _CONVERT
    if suffix == ".txt" and len(first) == 10 and all(map(_is_number, first[:8])) and not _is_number(first[8]):
        return "DOTA's file of turned boxes", "export it as YOLO with outlines, or as COCO"
    cells = [cell.strip() for cell in lines[0].split(",")] if lines else []
    if suffix == ".csv" and len(cells) == 8 and all(map(_is_number, [*cells[1:5], *cells[6:]])):
        return "makesense.ai's CSV, of x, y, width and height", "export it as YOLO or as VOC XML"
    if suffix == ".csv":
        return _of_table(cells)
    return None


def _of_table(cells: list[str]) -> tuple[str, str] | None:
    """What a table with such a first line is that tells of images, and is no list of boxes."""
    names = {cell.strip('"').lower() for cell in cells}
    images = any(is_image(Path(cell)) for cell in cells) or any(
        "image" in name or "file" in name for name in names
    )
    if len(cells) < 5 or not images:
        return None
    header = "'" + shorten(",".join(cells)) + "'"
    what = "a table with a box in one column" if "bbox" in names else f"a table that begins with {header}"
    return what, "write the lines as filename,xmin,ymin,xmax,ymax,class, in pixels"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _of_folders(root: Path) -> str | None:
    """What folders of images alone are, or label files without names."""
    for holder in (root, *(folder for folder in folders_in(root) if is_usual_split(folder.name))):
        folders = [folder for folder in folders_in(holder) if not is_usual_split(folder.name)]
        named = [
            folder for folder in folders if folder.name.lower() not in ("images", "labels", "img", "imgs")
        ]
        if len(named) > 1 and all(files_in(folder, IMAGE_SUFFIXES) for folder in named):
            names = ", ".join(folder.name for folder in named[:3])
            message = f"{holder} has images in folders ({names}), which say what is on them and not where"
            return f"{message}; draw boxes or masks"
    return None
