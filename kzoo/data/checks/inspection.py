"""Looks for faults in one image of a dataset: its picture, its annotation, its semantic mask."""

from __future__ import annotations

import numpy as np

from kzoo.data.dataset import Dataset
from kzoo.data.fault import Fault, FaultError, image_fault
from kzoo.data.formats.declared import MISMATCH, ROUNDING
from kzoo.data.painting.mask_faults import KINDS as MASK_KINDS
from kzoo.data.painting.rasterise import refuse_sizes
from kzoo.data.painting.rle import draw_masks
from kzoo.data.record import Record
from kzoo.sources.image import oddities, orientation
from kzoo.structures import IGNORED

GROUND = ("background", "bg", "ground")  # Names of a class 0 that is no object.
_DECODED_TO_LOOK = 16  # images, where they are not to be decoded all
_NOTHING = 1e-3  # a side below this many pixels is none


def inspect_record(record: Record, size: tuple[int, int] | None, classes: int) -> list[Fault]:
    """Faults of one image's annotation.

    Args:
        record: the annotation.
        size: (height, width) of the upright image; where None, as the annotation claims.
        classes: the number of the dataset's classes.
    """
    faults = list(record.problems)
    reported = {
        fault.box for fault in faults if fault.kind == "unknown-class"
    }  # by the reader, in its own words
    first: dict[tuple, int] = {}  # the first box of a class with these corners
    for box, (corners, label) in enumerate(zip(record.boxes.tolist(), record.labels.tolist(), strict=True)):
        if not 0 <= label < classes and box not in reported:
            faults.append(record.fault("unknown-class", f"class {label} of {classes}", box=box))
        kind_and_message = _box_fault(corners, size or record.size)
        if kind_and_message:
            faults.append(record.fault(*kind_and_message, box=box))
        key = (label, *(round(value, 2) for value in corners))
        if key in first:
            where = f" as line {record.lines[first[key]]}" if record.lines and not record.element else ""
            message = f"box {_numbers(corners)} is given twice{where}"
            faults.append(record.fault("duplicate", message, "warning", box))
        first.setdefault(key, box)
    return faults


def _box_fault(corners: list[float], size: tuple[int, int] | None) -> tuple[str, str] | None:
    """Kind and message of what is wrong with a box."""
    x1, y1, x2, y2 = corners
    if not np.isfinite(corners).all():
        return "not-finite", f"box {_numbers(corners)} holds NaN or infinity"
    if size is None:  # fractions of an image that is not there
        return None
    width, height = x2 - x1, y2 - y1
    if min(width, height) < -_NOTHING:
        return "inverted", f"box {_numbers(corners)} is inverted: {width:g} x {height:g} pixels"
    if min(width, height) < _NOTHING:
        return "zero-area", f"box {_numbers(corners)} has no area: {width:g} x {height:g} pixels"
    if size is not None:
        bottom, right = size
        if min(x1, y1) < -ROUNDING or x2 > right + ROUNDING or y2 > bottom + ROUNDING:
            return (
                "out-of-range",
                f"box {_numbers(corners)} reaches beyond the image of {right} x {bottom} pixels",
            )
    return None


def inspect_image(
    dataset: Dataset, index: int, decode: bool
) -> tuple[Record, list[Fault], np.ndarray | None]:
    """Looks at one image.

    Args:
        dataset: the dataset that the image belongs to.
        index: the image's position in the dataset, from 0.
        decode: whether the image is decoded; if not, its header and its end alone are looked at.

    Returns:
        Its record; all that is wrong with picture, annotation and mask; and (256,) how many pixels of the mask have
        each value, None where there is none or it was not drawn.
    """
    record = dataset.record(index)
    size, faults, pixels = None, [], None
    try:
        size = dataset.image(index).shape[:2] if decode else dataset.probe(index)
    except (OSError, ValueError) as error:
        # Readers that look at images themselves have reported it already, and say more: which line names the image.
        reported = [fault for fault in record.problems if fault.kind in ("missing-image", "unreadable-image")]
        faults += reported[:1] or [image_fault(record.path, error)]
        record.problems = [fault for fault in record.problems if fault not in reported]
    if size is not None:
        faults += _size_faults(record, size)
        faults += _oddities(dataset, index, record, decode)
    mask_reported = any(fault.kind in MASK_KINDS for fault in record.problems)
    if (dataset.semantic or dataset.roads) and size is not None and not mask_reported:
        try:
            pixels = _count_pixels(dataset, index, record, size, decode)
        except FaultError as error:
            faults.append(error.fault)
        except OSError as error:
            file = record.mask or record.source or record.path
            faults.append(Fault(file, None, "unreadable-mask", str(error.strerror or error)))
        else:
            faults += _empty_mask(dataset, record, pixels)
    if dataset.masks and not dataset.semantic and size is not None:
        faults += _outline_faults(record, size, decode)
    of_record = inspect_record(record, size, len(dataset.classes))
    if any(fault.kind == MISMATCH and fault.severity == "error" for fault in [*faults, *of_record]):
        # Where boxes lie is not known, so neither is that they reach too far.
        of_record = [fault for fault in of_record if fault.kind != "out-of-range"]
    return record, faults + of_record, pixels


def _oddities(dataset: Dataset, index: int, record: Record, decode: bool) -> list[Fault]:
    """What a person may not expect of an image's file and of its mask's: that one page of several is read, that 12
    bits of 16 are in use. Of images that are not decoded the first few are looked at, as evidence enough."""
    if not dataset.files:
        return []
    of_image = oddities(record.path, dataset.bits, decode or index < _DECODED_TO_LOOK)
    faults = [Fault(record.path, None, kind, message, "warning") for kind, message in of_image]
    if record.mask is not None and record.mask.is_file():
        of_mask = oddities(record.mask, decode=False)
        faults += [Fault(record.mask, None, kind, message, "warning") for kind, message in of_mask]
    return faults


def _size_faults(record: Record, size: tuple[int, int]) -> list[Fault]:
    """What is odd about the (height, width) of an upright image."""
    faults = []
    turned = orientation(record.path) if record.path.is_file() else 1
    if turned != 1:
        message = f"EXIF orientation {turned}: turned upright, to {size[1]} x {size[0]} pixels, before use"
        faults.append(Fault(record.path, None, "exif-rotation", message, "warning"))
    reported = any(fault.kind == MISMATCH for fault in record.problems)
    if len(record) and record.size is not None and tuple(record.size) != tuple(size) and not reported:
        # Readers in kzoo have put it right; one of somebody's own has not.
        claim = f"declares {record.size[1]} x {record.size[0]} pixels, the image has {size[1]} x {size[0]}"
        faults.append(record.fault(MISMATCH, claim))
    return faults


def _count_pixels(
    dataset: Dataset, index: int, record: Record, size: tuple[int, int], decode: bool
) -> np.ndarray | None:
    """(256,) how many pixels of an image's mask have each value; None where it is not drawn.

    Mask files are decoded even where images are not: a fault inside one would end a training in its middle. A mask
    that is painted from outlines is painted where it could be all ignored, and else compared by size alone.

    Raises:
        FaultError: it cannot be used.
    """
    outlined = record.mask is None and record.polygons is not None
    if outlined and not decode and not (record.crowd | record.difficult | (record.labels < 0)).any():
        refuse_sizes(record, size)
        return None
    return np.bincount(dataset.mask_of(index, record, size).ravel(), minlength=256)


def _outline_faults(record: Record, size: tuple[int, int], decode: bool) -> list[Fault]:
    """What is wrong with objects' masks; those without a pixel in their box are told where all is decoded."""
    try:
        refuse_sizes(record, size)
    except FaultError as error:
        return [error.fault]
    faults = []
    for box, shape in enumerate(record.polygons or () if decode else ()):
        if shape is None or not np.isfinite(record.boxes[box]).all():
            continue
        low, high = np.floor(record.boxes[box, :2]), np.ceil(record.boxes[box, 2:])
        (x1, y1), (x2, y2) = (corner.clip(0, size[::-1]).astype(int) for corner in (low, high))
        if not draw_masks([shape], size)[0, y1:y2, x1:x2].any():
            message = "no pixel of its mask is in its box: the region is ignored in training"
            faults.append(record.fault("empty-instance", message, "warning", box))
    return faults


def _empty_mask(dataset: Dataset, record: Record, pixels: np.ndarray | None) -> list[Fault]:
    """The oddity of a mask that is all ground."""
    if pixels is None or pixels[1:IGNORED].any() or dataset.classes[0].strip("_").lower() not in GROUND:
        return []
    file = record.mask or record.source or record.path
    return [Fault(file, None, "empty-mask", f"nothing but {dataset.classes[0]}", "warning")]


def _numbers(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in np.round(values, 2)) + ")"
