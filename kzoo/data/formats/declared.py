"""The size that an annotation file declares, against that of its image: what becomes of the boxes.

Boxes in pixels are pixels of the image that the file declares. Where the image is another one now, one rule says
what they mean. U is the size of the upright image; S that of the stored one, where EXIF turns it by a quarter.

| the declared size | the boxes | is |
|---|---|---|
| none, or 0 x 0 | as they stand | |
| U | as they stand | |
| S | turned as EXIF turns the pixels | a warning |
| S, or U with its sides exchanged, and the boxes fit into U alone | as they stand | a warning |
| U but for one pixel | as they stand | a warning |
| U or S in another scale, but for rounding, and the boxes fit into it | scaled, each axis by its factor; of S then turned | a warning |
| anything else | nobody knows where they lie | an error |

A box fits into an image where it reaches beyond it by no more than a pixel. An image without boxes has none to
misplace: there the size is told as a warning. Polygons and areas go with their boxes. Run-length masks are turned
exactly and cannot be scaled exactly: with those, another scale is the last row.
"""  # noqa: E501

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from kzoo.data.record import Record
from kzoo.sources.image import image_size, orientation

MISMATCH = "size-mismatch"  # the kind of fault of sizes that differ
ROUNDING = 1.0  # pixels a box may reach beyond its image: readers and writers round, and some count from 1
_Size = tuple[int, int]  # height and width


def fitted(record: Record) -> Record:
    """The record in pixels of the upright image, by the rule above; what was done is among its `problems`.

    Readers call it for annotations that have their boxes in pixels.

    Args:
        record: the annotation as its file has it, with the size that the file declares.
    """
    if record.size is None:
        return record
    try:
        state = record.path.stat()
        upright, turn = _image_header(str(record.path), state.st_mtime_ns, state.st_size)
    except (OSError, ValueError):
        return record  # an image that cannot be read is told of where it is read
    return record if tuple(record.size) == upright else _settled(record, upright, turn)


@functools.lru_cache(maxsize=2**16)
def _image_header(path: str, changed: int, length: int) -> tuple[_Size, int]:
    """Size of the upright image and its EXIF orientation, kept until the file has `changed`."""
    return image_size(path), orientation(path)


def _settled(record: Record, upright: _Size, turn: int) -> Record:
    """The record where the declared size is not that of the upright image."""
    declared = tuple(record.size)
    claim = f"declares {_shown(declared)} pixels, the image has {_shown(upright)}"
    fits, exchanged = _fits(record, declared), declared == upright[::-1]
    if not len(record):
        return _told(record, upright, f"{claim}, and no box to misplace")
    if exchanged and not fits and _fits(record, upright):
        return _told(record, upright, f"{claim}, where alone the boxes fit: taken as they stand")
    if exchanged and turn >= 5:
        turned = _turned(record, declared, turn)
        message = f"{claim}: boxes drawn before it was turned, by EXIF orientation {turn}, are turned with it"
        return _told(turned, upright, message)
    if max(abs(a - b) for a, b in zip(declared, upright, strict=True)) <= 1:
        return _told(record, upright, f"{claim}: boxes are taken as they stand")
    sideways = turn >= 5 and not _alike(declared, upright) and _alike(declared, upright[::-1])
    if fits and (sideways or _alike(declared, upright)) and not _has_runs(record):
        scaled = _scaled(record, declared, upright[::-1] if sideways else upright)
        if sideways:
            scaled = _turned(scaled, upright[::-1], turn)
            claim += f", turned by EXIF orientation {turn}"
        return _told(scaled, upright, f"{claim}: boxes are scaled")
    doubt = (
        "turned after it was labelled, or are width and height exchanged" if exchanged else "cut or replaced"
    )
    fault = record.fault(MISMATCH, f"{claim}: {doubt}? Correct the size, or label the image anew")
    return dataclasses.replace(record, problems=[*record.problems, fault])


def _told(record: Record, size: _Size, message: str) -> Record:
    problems = [*record.problems, record.fault(MISMATCH, message, "warning")]
    return dataclasses.replace(record, size=size, problems=problems)


def _shown(size: _Size) -> str:
    return f"{size[1]} x {size[0]}"


def _fits(record: Record, size: _Size) -> bool:
    """Whether all boxes, but for those that are not finite, lie in an image of a size."""
    boxes = record.boxes[np.isfinite(record.boxes).all(axis=1)]
    return bool((boxes[:, :2] >= -ROUNDING).all() and (boxes[:, 2:] <= np.array(size[::-1]) + ROUNDING).all())


def _alike(one: _Size, other: _Size) -> bool:
    """Whether one size is the other in another scale, up to the rounding of a side of the smaller."""
    small, large = sorted((one, other), key=np.prod)
    return any(abs(large[a] * small[b] / large[b] - small[a]) < 1 for a, b in ((0, 1), (1, 0)))


def _has_runs(record: Record) -> bool:
    return any(isinstance(shape, dict) for shape in record.polygons or ())


def _scaled(record: Record, declared: _Size, size: _Size) -> Record:
    """From an image of the declared size to the same one of another."""
    factors = np.array([size[1] / declared[1], size[0] / declared[0]])
    boxes = record.boxes.astype(np.float64) * np.tile(factors, 2)
    areas = None if record.areas is None else record.areas * factors.prod()
    polygons = _each(record.polygons, lambda points: points * factors)
    xywh = None if record.xywh is None else record.xywh * np.tile(factors, 2)
    return dataclasses.replace(record, boxes=boxes, areas=areas, polygons=polygons, xywh=xywh)


def _turned(record: Record, stored: _Size, turn: int) -> Record:
    """From the stored image to the upright one, of the EXIF orientations 5 to 8, which exchange its sides."""
    height, width = stored
    x1, y1, x2, y2 = record.boxes.astype(np.float64).T  # each (N,)
    right, up = turn in (6, 7), turn in (7, 8)  # the stored top goes to the right; the stored left goes down
    left_and_right = (height - y2, height - y1) if right else (y1, y2)
    top_and_bottom = (width - x2, width - x1) if up else (x1, x2)
    boxes = np.stack([left_and_right[0], top_and_bottom[0], left_and_right[1], top_and_bottom[1]], axis=1)

    def turn_points(points: np.ndarray) -> np.ndarray:
        x, y = points.T
        return np.stack([height - y if right else y, width - x if up else x], axis=1)

    def turn_xywh() -> np.ndarray | None:
        if record.xywh is None:
            return None
        x, y, wide, high = record.xywh.T
        return np.stack(
            [height - y - high if right else y, width - x - wide if up else x, high, wide], axis=1
        )

    def turn_runs(runs: dict) -> dict:
        from kzoo.data.painting.rle import draw_union
        from kzoo.structures.runs import compress_mask

        if tuple(runs["size"]) != stored:
            return runs  # told of where it is drawn
        mask = draw_union([runs], stored)
        mask = mask[::-1] if right else mask
        return compress_mask((mask[:, ::-1] if up else mask).T)

    polygons = _each(record.polygons, turn_points, turn_runs)
    return dataclasses.replace(record, boxes=boxes, polygons=polygons, xywh=turn_xywh())


def _each(shapes: list | None, points: Callable, runs: Callable | None = None) -> list | None:
    """Every object's outline with each of its polygons, or its run lengths, changed."""
    if shapes is None:
        return None
    return [
        runs(shape) if isinstance(shape, dict) else shape and [points(part) for part in shape]
        for shape in shapes
    ]
