"""Looks for faults in a dataset, and keeps training away from them."""

from __future__ import annotations

import itertools
import logging
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kzoo.data.dataset import Dataset, Record, Selection, image_fault
from kzoo.data.fault import Fault, FaultError
from kzoo.data.image import orientation
from kzoo.data.mask_faults import KINDS as MASK_KINDS
from kzoo.data.rasterise import refuse_sizes
from kzoo.data.report import Report, plural
from kzoo.progress import track
from kzoo.structures import IGNORED

__all__ = ["Report", "check", "inspect_record", "require_sound"]

log = logging.getLogger("kzoo")

# Faults that leave an image without a usable picture or annotation; the others concern one box or line.
_WHOLE_IMAGE = frozenset(
    {
        "duplicate-id",
        "empty-file",
        "image-without-label",
        "missing-image",
        "unreadable-image",
        "unreadable-label",
        *MASK_KINDS,
    }
)
_GROUND = ("background", "bg", "ground")  # Names of a class 0 that is no object.
_ROUNDING = 1.0  # pixels a box may reach beyond its image: readers and writers round, and some count from 1
_NOTHING = 1e-3  # a side below this many pixels is none


def check(
    dataset: Dataset | str | Path, split: str | None = None, decode: bool = True, task: str | None = None
) -> Report:
    """Looks at every image, every box and every semantic mask of a dataset.

    Args:
        dataset: a dataset, or the path of one.
        split: with a path, the part to look at; all where None.
        decode: whether every image is decoded; without it headers and ends of the files are looked at, which finds
            files that are missing, truncated or no images. Mask files are decoded all the same.
        task: with a path, "detect" or "segment", as `kzoo.data.load` takes it.

    Returns:
        The report; `report.errors` is empty where the dataset is sound.

    Example:
        >>> print(check("VOCdevkit/VOC2012", split="train").format_text())
    """
    return _examine(_opened(dataset, split, task), decode)[0]


def require_sound(dataset: Dataset, skip_faulty: bool = False, decode: bool = True) -> Dataset:
    """The dataset, if it may be trained on.

    Args:
        dataset: what is to be trained on.
        skip_faulty: whether faulty boxes, and images that cannot be used, are left out instead of refused; how many
            is logged.
        decode: as for `check`.

    Returns:
        The dataset itself, or with `skip_faulty` a view of it without what is faulty.

    Raises:
        ValueError: it has faults and they are not to be skipped, or nothing is left; the message lists them.
    """
    report, faults = _examine(dataset, decode)
    for fault in report.warnings[:10]:
        log.info("%s", fault)
    if not report.errors:
        return dataset
    part = f", split {dataset.split}" if dataset.split else ""
    if not skip_faulty:
        raise ValueError(
            f"{dataset.root}{part}: {plural(len(report.errors), 'fault')}; "
            "mend what follows, or leave it out of training with --skip-faulty\n"
            + report.format_faults(report.errors)
        )
    keep, dropped_boxes, indices = {}, 0, []
    for index, found in enumerate(faults):
        errors = [fault for fault in found if fault.severity == "error"]
        if any(fault.kind in _WHOLE_IMAGE for fault in errors):
            continue
        indices.append(index)
        if errors:
            mask = np.ones(len(dataset.record(index)), bool)
            mask[sorted({fault.box for fault in errors if fault.box is not None})] = False
            keep[index] = mask
            dropped_boxes += len({(fault.box, fault.line) for fault in errors})
    if not indices:
        raise ValueError(
            f"{dataset.root}{part}: no image is left without its faults\n{report.format_faults()}"
        )
    dropped_images = len(dataset) - len(indices)
    log.warning(
        "%s%s: left out %s and %s that are faulty (kzoo data check lists them)",
        dataset.root,
        part,
        plural(dropped_boxes, "box"),
        plural(dropped_images, "image"),
    )
    return Selection(dataset, indices, keep)


def inspect_record(record: Record, size: tuple[int, int] | None, classes: int) -> list[Fault]:
    """Faults of one image's annotation.

    Args:
        record: the annotation.
        size: (height, width) of the upright image; where None, as the annotation claims.
        classes: how many there are.
    """
    faults = list(record.problems)
    told = {fault.box for fault in faults if fault.kind == "unknown-class"}
    seen: dict[tuple, int] = {}
    for box, (corners, label) in enumerate(zip(record.boxes.tolist(), record.labels.tolist(), strict=True)):
        if not 0 <= label < classes and box not in told:
            faults.append(record.fault("unknown-class", f"class {label} of {classes}", box=box))
        found = _box_fault(corners, size or record.size)
        if found:
            faults.append(record.fault(*found, box=box))
        key = (label, *(round(value, 2) for value in corners))
        if key in seen:
            where = f" as line {record.lines[seen[key]]}" if record.lines and not record.element else ""
            message = f"box {_numbers(corners)} is given twice{where}"
            faults.append(record.fault("duplicate", message, "warning", box))
        seen.setdefault(key, box)
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
        if min(x1, y1) < -_ROUNDING or x2 > right + _ROUNDING or y2 > bottom + _ROUNDING:
            return (
                "out-of-range",
                f"box {_numbers(corners)} reaches beyond the image of {right} x {bottom} pixels",
            )
    return None


def _inspect_image(
    dataset: Dataset, index: int, decode: bool
) -> tuple[Record, list[Fault], np.ndarray | None]:
    """The record of one image, all that is wrong with picture or annotation, and its mask's pixels by value."""
    record = dataset.record(index)
    size, faults, pixels = None, [], None
    try:
        size = dataset.image(index).shape[:2] if decode else dataset.probe(index)
    except (OSError, ValueError) as error:
        faults.append(image_fault(record.path, error))
        record.problems = [f for f in record.problems if f.kind not in ("missing-image", "unreadable-image")]
    if size is not None:
        faults += _size_faults(record, size)
    known = any(fault.kind in MASK_KINDS for fault in record.problems)
    if dataset.semantic and size is not None and not known:
        try:
            pixels = _count_pixels(dataset, index, record, size, decode)
        except FaultError as error:
            faults.append(error.fault)
        except OSError as error:
            file = record.mask or record.source or record.path
            faults.append(Fault(file, None, "unreadable-mask", str(error.strerror or error)))
        else:
            faults += _empty_mask(dataset, record, pixels)
    return record, faults + inspect_record(record, size, len(dataset.classes)), pixels


def _size_faults(record: Record, size: tuple[int, int]) -> list[Fault]:
    """What is odd about the (height, width) of an upright image."""
    faults = []
    turned = orientation(record.path) if record.path.is_file() else 1
    if turned != 1:
        message = f"EXIF orientation {turned}: turned upright, to {size[1]} x {size[0]} pixels, before use"
        faults.append(Fault(record.path, None, "exif-rotation", message, "warning"))
    if record.size is not None and tuple(record.size) != tuple(size):
        claim = f"claims {record.size[1]} x {record.size[0]} pixels, the image has {size[1]} x {size[0]}"
        if turned >= 5 and tuple(record.size) == tuple(size)[::-1]:
            claim += ": the boxes may have been drawn before it was turned upright"
        faults.append(record.fault("size-mismatch", claim, "warning"))
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
    if outlined and not decode and not (record.crowd | record.difficult).any():
        refuse_sizes(record, size)
        return None
    return np.bincount(dataset.mask_of(index, record, size).ravel(), minlength=256)


def _empty_mask(dataset: Dataset, record: Record, pixels: np.ndarray | None) -> list[Fault]:
    """The oddity of a mask that is all ground."""
    if pixels is None or pixels[1:IGNORED].any() or dataset.classes[0].strip("_").lower() not in _GROUND:
        return []
    file = record.mask or record.source or record.path
    return [Fault(file, None, "empty-mask", f"nothing but {dataset.classes[0]}", "warning")]


def _examine(dataset: Dataset, decode: bool) -> tuple[Report, list[list[Fault]]]:
    """The report, and the faults of every image."""
    report = Report(
        dataset.root, dataset.split, dataset.format, images=len(dataset), semantic=dataset.semantic
    )
    boxes, images = Counter(), Counter()
    pixels, pictured = np.zeros(256, np.int64), np.zeros(256, np.int64)
    sides: list[np.ndarray] = []
    by_image: list[list[Fault]] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        jobs = pool.map(lambda index: _inspect_image(dataset, index, decode), range(len(dataset)))
        for record, faults, found in track(jobs, "checking", total=len(dataset)):
            by_image.append(faults)
            boxes.update(record.labels.tolist())
            images.update(set(record.labels.tolist()))
            report.backgrounds += not len(record)
            if found is not None:
                pixels += found
                pictured += found > 0
                report.masks += 1
            bad = {fault.box for fault in faults if fault.severity == "error"}
            sound = [box for box in range(len(record)) if box not in bad]
            corners = record.boxes[sound].astype(np.float64)
            sides.append(np.sqrt(np.prod(corners[:, 2:] - corners[:, :2], axis=1)))
    named = list(enumerate(dataset.classes))
    report.counts = {name: boxes[label] for label, name in named}
    report.images_by_class = {name: images[label] for label, name in named}
    if dataset.semantic:
        report.pixels = {name: int(pixels[label]) for label, name in named}
        report.images_by_class = {name: int(pictured[label]) for label, name in named}
        report.ignored = int(pixels[IGNORED])
        report.backgrounds = sum(fault.kind == "empty-mask" for faults in by_image for fault in faults)
    report.sides = np.concatenate(sides) if sides else np.zeros(0)
    report.faults = [*itertools.chain(*by_image), *dataset.problems(), *_dataset_faults(dataset, report)]
    return report, by_image


def _dataset_faults(dataset: Dataset, report: Report) -> list[Fault]:
    where = f" in split {dataset.split!r}" if dataset.split else ""
    if not report.images:
        return [Fault(dataset.root, None, "empty-dataset", f"no images{where}")]
    if report.semantic and not report.masks:
        return []
    counts = report.pixels if report.semantic else report.counts
    missing = [name for name, count in counts.items() if not count]
    message = "class {!r} has no example" + where
    return [
        Fault(dataset.root, None, "class-without-example", message.format(name), "warning")
        for name in missing
    ]


def _opened(dataset: Dataset | str | Path, split: str | None, task: str | None) -> Dataset:
    if isinstance(dataset, (str, Path)):
        from kzoo.data import load

        return load(dataset, split, task=task)
    return dataset


def _numbers(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in np.round(values, 2)) + ")"
