"""One annotation of a COCO file: box, outline and flags, or what is wrong with them.

Entries come from strangers: whatever they hold ends in values or a complaint.
"""

from __future__ import annotations

import math
import re
import reprlib
from dataclasses import dataclass, field

import numpy as np

from kzoo.data.painting.rle import box_of_runs, run_lengths

_LARGEST_ID = 2**63
LARGEST_SIDE = 10**6  # pixels of an image
_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 60
_short.maxlevel, _short.maxlist, _short.maxdict = 2, 5, 3


def shown(value) -> str:
    """A value for a message, shortened."""
    return _short.repr(value)


def is_text(value) -> bool:
    """Whether a JSON value is text that files and terminals take: its escapes can write half a character."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def whole_number(value) -> int | None:
    """A JSON number as an int if it is whole and of 64 bits, else None."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and -_LARGEST_ID <= value < _LARGEST_ID else None


def identifier_of(value) -> int | str | None:
    """The id that a JSON value is: text of a whole number is that number, as other lists of the file may have it."""
    if is_text(value):
        return int(value) if re.fullmatch(r"0|[1-9]\d{0,17}", value, re.ASCII) else value
    return whole_number(value)


def category_of(value) -> int | None:
    """As `identifier_of`, of a category: a number."""
    identifier = identifier_of(value)
    return None if isinstance(identifier, str) else identifier


def _number(value) -> float | None:
    """A JSON number as a float; None for anything else."""
    if type(value) not in (int, float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


@dataclass
class Row:
    """What an annotation says.

    Attributes:
        xywh: x, y, width, height as they stand there, or around the outline where there is no box.
        category: id of the category; None where that is no whole number.
        crowd: whether the box is around a group of objects, COCO's `iscrowd`.
        difficult: whether the object is one that kzoo calls difficult, as Pascal VOC does.
        area: area of the object in square pixels; None where the file does not say.
        outline: a list of (K, 2) float64 arrays in pixels, an RLE dict, or None.
        complaint: why there is no box; None where there is one.
        remarks: what else is wrong: (kind, message).
    """

    xywh: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    category: int | None = None
    crowd: bool = False
    difficult: bool = False
    area: float | None = None
    outline: list | dict | None = None
    complaint: str | None = None
    remarks: list[tuple[str, str]] = field(default_factory=list)


def read_row(entry: dict) -> Row:
    """An annotation of the list; what is wrong with it lies in its `complaint` and `remarks`."""
    row = Row(category=category_of(entry.get("category_id")))
    _read_outline(row, entry.get("segmentation"))
    box = entry.get("bbox")
    values = [_number(value) for value in box] if isinstance(box, list) else ()
    if len(values) == 4 and None not in values:
        row.xywh = tuple(values)
    elif box not in (None, []):
        row.complaint = f"bbox {shown(box)} is not [x, y, width, height]"
    elif row.outline is None:
        reason = f"; {row.remarks[0][1]}" if row.remarks else " and no outline that it follows from"
        row.complaint = "no bbox" + reason
    else:
        row.xywh = _around(row.outline)
    row.crowd, row.difficult = _flag(row, entry, "iscrowd"), _flag(row, entry, "difficult")
    if "area" in entry:
        row.area = _number(entry["area"])
        if row.area is None or not math.isfinite(row.area):
            row.remarks.append(
                ("malformed", f"area {shown(entry['area'])} is no number: that of the box is taken")
            )
            row.area = None
    return row


def _flag(row: Row, entry: dict, name: str) -> bool:
    value = entry.get(name)
    if value not in (None, 0, 1, "0", "1"):
        row.remarks.append(("malformed", f"{name} {shown(value)} is neither 0 nor 1: taken for 0"))
    return value in (1, "1")


def _read_outline(row: Row, segmentation) -> None:
    if segmentation in (None, [], [[]], {}):
        return
    try:
        if isinstance(segmentation, dict):
            row.outline = _read_runs(segmentation)
        else:
            row.outline = _read_polygons(row, segmentation)
    except ValueError as error:
        row.remarks.append(("bad-outline", f"segmentation: {error}: passed over"))


def _read_runs(segmentation: dict) -> dict:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    sides = [whole_number(side) for side in size] if isinstance(size, list) else []
    if len(sides) != 2 or not all(side and 0 < side <= LARGEST_SIDE for side in sides):
        raise ValueError(f"size {shown(size)} is not [height, width]")
    if not isinstance(counts, (list, str)):
        raise ValueError(f"counts {shown(counts)} are neither a list nor text")
    runs = run_lengths(counts, sides)
    if not runs[1::2].any():
        raise ValueError("covers no pixel")
    return {"size": sides, "counts": counts if isinstance(counts, str) else runs.tolist()}


def _around(outline: list[np.ndarray] | dict) -> tuple[float, float, float, float]:
    """x, y, width, height around an outline."""
    if isinstance(outline, dict):
        box = box_of_runs(run_lengths(outline["counts"], outline["size"]), outline["size"][0])
        x1, y1, x2, y2 = (float(side) for side in box)
        return x1, y1, x2 - x1, y2 - y1
    points = np.concatenate(outline)
    low, high = points.min(0), points.max(0)
    return (*low.tolist(), *(high - low).tolist())


def _read_polygons(row: Row, segmentation) -> list[np.ndarray] | None:
    if not isinstance(segmentation, list):
        raise ValueError(f"{shown(segmentation)} is neither polygons nor run lengths")
    flat = [segmentation] if not isinstance(segmentation[0], (list, dict)) else segmentation
    polygons = [_points(numbers) for numbers in flat if numbers != []]
    outline = [polygon for polygon in polygons if len(polygon) >= 3]
    if len(outline) < len(polygons):
        few = f"{len(polygons) - len(outline)} of {len(polygons)} polygons have fewer than three points"
        if not outline:
            raise ValueError(few)
        row.remarks.append(("bad-outline", f"segmentation: {few}: passed over"))
    return outline or None


def _points(part) -> np.ndarray:
    """(K, 2) float64 of x, y, x, y, ..., or of points."""
    try:
        points = np.array(part, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{shown(part)} is not a list of numbers") from None
    if points.ndim == 1 and len(points) % 2 == 0:
        points = points.reshape(-1, 2)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"a polygon of {points.size} numbers, which are no pairs")
    if not np.isfinite(points).all():
        raise ValueError("a polygon holds NaN, infinity or nothing in the place of a number")
    return points
