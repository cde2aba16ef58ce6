"""Files that list boxes, a box or an image a line, in the three forms people write them.

keras-retinanet's CSV has `path,x1,y1,x2,y2,class` and, for an image without objects, `path,,,,,`. Tables that convert
Pascal VOC for TensorFlow have a header, `filename,width,height,class,xmin,ymin,xmax,ymax`. keras-yolo3 has an image
a line, `path x1,y1,x2,y2,class x1,y1,x2,y2,class`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kzoo.data.fault import Fault, FaultError
from kzoo.data.formats.text import peek, read_lines, shorten, to_number
from kzoo.sources.finding import is_image, split_path

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
# Names of columns, in small letters and without marks between them.
_COLUMNS = {
    "image": ("filename", "image", "imagepath", "path", "file", "filepath", "imagename", "imageid", "img"),
    "name": ("class", "label", "name", "classname", "category", "labelname"),
    "xmin": ("xmin", "x1", "left"),
    "ymin": ("ymin", "y1", "top"),
    "xmax": ("xmax", "x2", "right"),
    "ymax": ("ymax", "y2", "bottom"),
    "width": ("width", "imagewidth"),
    "height": ("height", "imageheight"),
}
_COLUMN = {name: column for column, names in _COLUMNS.items() for name in names}
_NEEDED = ("image", *_CORNERS, "name")


@dataclass(frozen=True)
class Row:
    """A line of a list.

    Attributes:
        line: number of the line in the file, from 1.
        image: the path as it is written.
        box: xyxy in pixels of the image; None where the line tells of none.
        name: the class as it is written.
        size: (height, width) that the line claims; None where it does not say.
        complaint: what is wrong with the line; then it has no box.
    """

    line: int
    image: str
    box: tuple[float, ...] | None = None
    name: str = ""
    size: tuple[int, int] | None = None
    complaint: str | None = None


def dialect(path: Path) -> str | None:
    """ "csv" or "keras-yolo3": the form a file has by its first lines; None where it has neither."""
    lines = [line for line in peek(path)[:100] if line.strip()]
    if not lines:
        return None
    first = next(csv.reader(lines[:1], delimiter=_delimiter(lines[0])), [])
    columns = _columns(first)
    if set(_CORNERS) <= columns.keys() and "image" in columns:
        return "csv"
    if len(first) == 6 and (all(to_number(cell) is not None for cell in first[1:5]) or not any(first[1:])):
        return "csv"
    words_of_lines = [words for image, words in map(_split_line, lines) if image]
    return "keras-yolo3" if any(_box_of(word) for words in words_of_lines for word in words) else None


def read_rows(path: Path, form: str) -> list[Row]:
    """The lines of a list, those that say nothing left out.

    Args:
        path: the file.
        form: the file's `dialect`, "csv" or "keras-yolo3".

    Raises:
        FaultError: it is no text, or has no such columns.
    """
    return list(_csv_rows(path) if form == "csv" else _yolo3_rows(path))


def unread_columns(path: Path) -> list[str]:
    """The columns of a table's header that nothing is taken from; none where there is no header."""
    first = next((line for line in peek(path) if line.strip()), "")
    cells = next(csv.reader([first], delimiter=_delimiter(first)), [])
    columns = _columns(cells)
    return [cell.strip() for at, cell in enumerate(cells) if at not in columns.values()] if columns else []


def _csv_rows(path: Path) -> Iterator[Row]:
    lines = read_lines(path)
    delimiter = _delimiter(next((line for line in lines if line.strip()), ""))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    columns: dict[str, int] | None = None
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if columns is None:
                columns = _columns(cells)
                if columns:
                    _refuse_columns(path, reader.line_num, columns)
                    count = len(cells)
                    continue
                columns, count = dict(zip(_NEEDED, range(6), strict=True)), 6
            if len(cells) != count:
                message = f"{len(cells)} fields, but there are {count}: {', '.join(columns)}"
                yield Row(reader.line_num, _cell(cells, columns, "image"), complaint=message)
            else:
                yield _csv_row(reader.line_num, {column: cells[at] for column, at in columns.items()})
    except csv.Error as error:
        fault = Fault(path, reader.line_num, "malformed", f"no CSV: {error}")
        raise FaultError(fault, "correct it") from None


def _delimiter(line: str) -> str:
    return max(",;\t", key=line.count)


def _columns(cells: list[str]) -> dict[str, int]:
    """Where the known columns are, if the cells are a header; none where they are not."""
    names = [_COLUMN.get(re.sub(r"[\W_]", "", cell.lower())) for cell in cells]
    return {name: at for at, name in reversed(list(enumerate(names))) if name is not None}


def _refuse_columns(path: Path, line: int, columns: dict[str, int]) -> None:
    missing = [column for column in _NEEDED if column not in columns]
    if missing:
        fault = Fault(path, line, "malformed", f"a header without {', '.join(missing)}")
        raise FaultError(fault, "write filename,xmin,ymin,xmax,ymax,class, or a list without a header")


def _cell(cells: list[str], columns: dict[str, int], column: str) -> str:
    at = columns[column]
    return cells[at] if at < len(cells) else ""


def _csv_row(line: int, fields: dict[str, str]) -> Row:
    image, texts = fields["image"], [fields[corner] for corner in _CORNERS]
    size = _size(fields)
    if not image:
        return Row(line, "", complaint="no image in this line")
    if not any(texts) and not fields["name"]:
        return Row(line, image, size=size)
    numbers = [to_number(text) for text in texts]
    if None in numbers:
        return Row(line, image, size=size, complaint=f"box {shorten(','.join(texts))!r} is not four numbers")
    if not fields["name"]:
        return Row(line, image, size=size, complaint="a box without a class")
    return Row(line, image, tuple(numbers), fields["name"], size)


def _size(fields: dict[str, str]) -> tuple[int, int] | None:
    sides = [fields.get(side, "") for side in ("height", "width")]
    if all(re.fullmatch(r"[1-9]\d{0,6}", side) for side in sides):
        return int(sides[0]), int(sides[1])
    return None


def _yolo3_rows(path: Path) -> Iterator[Row]:
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        image, words = _split_line(line)
        if not image:
            yield Row(number, "", complaint=f"{shorten(line)!r} does not begin with the path of an image")
            continue
        yield Row(number, image)
        for word in words:
            box = _box_of(word)
            if box is None:
                message = f"{shorten(word)!r} is not x1,y1,x2,y2,class"
                yield Row(number, image, complaint=message)
            else:
                yield Row(number, image, box, word.rpartition(",")[2])


def _split_line(line: str) -> tuple[str, list[str]]:
    """The path, which may have spaces and ends as images' do, and the words after it."""
    words = list(re.finditer(r"\S+", line))
    for position in reversed(range(len(words))):
        if is_image(Path(*split_path(words[position].group())[-1:])):
            return line[: words[position].end()].strip(), [word.group() for word in words[position + 1 :]]
    return "", []


def _box_of(word: str) -> tuple[float, ...] | None:
    """The corners of "x1,y1,x2,y2,class"; None where a word is none."""
    *texts, name = word.split(",")
    numbers = [to_number(text) for text in texts]
    return (
        tuple(numbers) if len(texts) == 4 and None not in numbers and re.fullmatch(r"\d{1,9}", name) else None
    )
