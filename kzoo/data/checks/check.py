"""Looks for faults in a dataset, and keeps training away from them.

What is an error stops a training, unless `--skip-faulty` leaves it out; what is a warning is printed by it, counted.

| found | kinds | is |
|---|---|---|
| no image; no object of a known class on any image: no label file at all, all of them empty, masks of nothing but ground | empty-dataset, no-objects | an error that cannot be left out |
| an image that is missing, truncated, none | missing-image, unreadable-image | an error; the image is left out |
| an annotation or a mask that cannot be read or used | unreadable-label, duplicate-id, image-without-label (of Pascal VOC), and `kzoo.data.painting.mask_faults.KINDS` | the same |
| a declared size that is not the image's, where no rule tells what it means | size-mismatch | the same |
| a box or line that is none, of an unknown class, or not within its image | malformed, unknown-class, not-finite, inverted, zero-area, out-of-range | an error; the box is left out |
| a label or a mask without its image | label-without-image, mask-without-image | an error; it is passed over |
| a declared size that is not the image's, where `kzoo.data.formats.declared` has a rule | size-mismatch | a warning: done by the rule |
| an object without a pixel of its mask in its box | empty-instance | a warning: its region is ignored in training |
| an image that is taken for background | image-without-label (of YOLO), empty-file, empty-mask | a warning |
| an oddity | duplicate, exif-rotation, unused-image, zero-based, class-without-example and others | a warning |
"""  # noqa: E501

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kzoo.data.checks.evidence import dataset_faults
from kzoo.data.checks.inspection import inspect_image, inspect_record
from kzoo.data.checks.report import Report, plural
from kzoo.data.dataset import Dataset, Selection
from kzoo.data.fault import Fault
from kzoo.data.formats.inside import KIND as OUTSIDE
from kzoo.data.painting.mask_faults import KINDS as MASK_KINDS
from kzoo.structures import IGNORED
from kzoo.system.progress import track

__all__ = ["Report", "check", "inspect_record", "require_sound"]

log = logging.getLogger("kzoo")

_AT_ONCE = 1024  # images

# Faults that leave an image without a usable picture or annotation, though they have a line.
_WHOLE_IMAGE = frozenset(
    {"duplicate-id", "image-without-label", "not-utf8", "unreadable-label", OUTSIDE, *MASK_KINDS}
)
# Faults of the dataset that nothing which is left out mends.
_WHOLE_DATASET = frozenset({"empty-dataset", "fractions", "no-objects"})
# What belongs to no image of the dataset, one and several.
_PASSED_OVER = {
    "label-without-image": ("label without an image", "labels without an image"),
    "mask-without-image": ("mask without an image", "masks without an image"),
    OUTSIDE: (
        "entry of images outside the dataset's folder",
        "entries of images outside the dataset's folder",
    ),
    "malformed": ("entry that cannot be read", "entries that cannot be read"),
}


def check(
    dataset: Dataset | str | Path,
    split: str | None = None,
    decode: bool = True,
    task: str | None = None,
    bits: int | None = None,
) -> Report:
    """Looks at every image, every box and every mask of a dataset.

    Args:
        dataset: a dataset, or the path of one.
        split: where a path is given, the part to look at, such as "train"; all images where None.
        decode: whether every image is decoded; without it headers and ends of the files are looked at, which finds
            files that are missing, truncated or no images. Mask files are decoded all the same.
        task: where a path is given, "detect", "segment" or "instance"; where None, what the format is for (see
            `kzoo.data.load`).
        bits: where a path is given, how many bits of its 16-bit images are in use, 8 to 16; all 16 where None.

    Returns:
        The report; `report.errors` is empty where the dataset is sound.

    Example:
        >>> print(check("VOCdevkit/VOC2012", split="train").format_text())
    """
    return _examine(_opened(dataset, split, task, bits), decode)[0]


def require_sound(dataset: Dataset, skip_faulty: bool = False, decode: bool = True) -> Dataset:
    """The dataset, if it may be trained on. What is odd in it is logged, counted.

    Args:
        dataset: what is to be trained on.
        skip_faulty: whether faulty boxes, images that cannot be used, and labels without an image are left out
            instead of refused; how many is logged.
        decode: whether every image is decoded, not only looked at for its header and its end (see `check`).

    Returns:
        The dataset itself, or with `skip_faulty` a view of it without what is faulty.

    Raises:
        ValueError: it has faults and they are not to be skipped, or nothing is left; the message lists them.

    Example:
        >>> train = require_sound(kzoo.data.load("street", split="train"), skip_faulty=True)
    """
    return sound_part(dataset, skip_faulty, decode)[0]


def sound_part(dataset: Dataset, skip_faulty: bool = False, decode: bool = True) -> tuple[Dataset, Report]:
    """As `require_sound`, and the report of what was looked at.

    Args:
        dataset: what is to be trained on.
        skip_faulty: whether what is faulty is left out instead of refused.
        decode: whether every image is decoded (see `check`).

    Returns:
        The dataset or its sound part, and the report of the whole.

    Raises:
        ValueError: it has faults and they are not to be skipped, or nothing is left.
    """
    report, by_image = _examine(dataset, decode)
    if not report.errors:
        _log_warnings(dataset, report)
        return dataset, report
    hopeless = [fault for fault in report.errors if fault.kind in _WHOLE_DATASET]
    if hopeless and len(report.errors) == 1:
        raise ValueError(f"{dataset.root}{_part(dataset)}: {hopeless[0].message}")
    if not skip_faulty or hopeless:
        remedy = "mend what follows" + (
            "" if hopeless else ", or leave it out of training with --skip-faulty"
        )
        raise ValueError(
            f"{dataset.root}{_part(dataset)}: {plural(len(report.errors), 'fault')}; {remedy}\n"
            + report.format_faults([*hopeless, *(fault for fault in report.errors if fault not in hopeless)])
        )
    _log_warnings(dataset, report)
    return _without_faults(dataset, report, by_image), report


def _log_warnings(dataset: Dataset, report: Report) -> None:
    if report.warnings:
        log.warning("%s%s: %s", dataset.root, _part(dataset), report.summarise(report.warnings))


def _without_faults(dataset: Dataset, report: Report, by_image: list[list[Fault]]) -> Dataset:
    """A view of the dataset without boxes and images that have errors.

    Raises:
        ValueError: nothing is left.
    """
    keep, indices = {}, []
    dropped: Counter[str] = Counter()
    for index, faults in enumerate(by_image):
        errors = [fault for fault in faults if fault.severity == "error"]
        if any(_spoils_image(fault) for fault in errors):
            dropped["image"] += 1
            continue
        indices.append(index)
        if errors:
            sound = np.ones(len(dataset.record(index)), bool)  # (N,)
            sound[sorted({fault.box for fault in errors if fault.box is not None})] = False
            keep[index] = sound
            dropped["box"] += len({(fault.box, fault.line) for fault in errors})
    if not indices:
        raise ValueError(
            f"{dataset.root}{_part(dataset)}: no image is left without its faults\n{report.format_faults()}"
        )
    if not dataset.semantic and not len(report.sides):
        raise ValueError(
            f"{dataset.root}{_part(dataset)}: no box is left without its faults\n{report.format_faults()}"
        )
    passed_over = Counter(fault.kind for fault in dataset.problems() if fault.severity == "error")
    log.warning(
        "%s%s: left out %s and %s that are faulty%s: all that kzoo data check finds, %s",
        dataset.root,
        _part(dataset),
        plural(dropped["box"], "box"),
        plural(dropped["image"], "image"),
        _passed_over(passed_over),
        plural(len(report.errors), "error"),
    )
    return Selection(dataset, indices, keep)


def _spoils_image(fault: Fault) -> bool:
    """Whether an error is of an image or its whole annotation, not of one box or line."""
    return fault.kind in _WHOLE_IMAGE or (fault.box is None and fault.line is None)


def _passed_over(kinds: Counter[str]) -> str:
    """What belongs to no image, in words: ", passed over 1 label without an image"."""
    counts = [f"{count} {_PASSED_OVER.get(kind, (kind, kind))[count > 1]}" for kind, count in kinds.items()]
    return f", passed over {' and '.join(counts)}" if counts else ""


def _part(dataset: Dataset) -> str:
    return f", split {dataset.split}" if dataset.split else ""


def _in_order(pool: ThreadPoolExecutor, look: Callable, count: int) -> Iterator:
    """`look(index)` of every index; no more of them wait than `_AT_ONCE`, however many there are."""
    for start in range(0, count, _AT_ONCE):
        yield from pool.map(look, range(start, min(start + _AT_ONCE, count)))


def _examine(dataset: Dataset, decode: bool) -> tuple[Report, list[list[Fault]]]:
    """The report, and the faults of every image; images are looked at by several threads, several at a time."""
    report = Report(
        dataset.root, dataset.split, dataset.format, images=len(dataset), semantic=dataset.semantic
    )
    boxes, images = Counter(), Counter()  # by label: boxes of it, and images that have one
    pixels, pictured = np.zeros(256, np.int64), np.zeros(256, np.int64)  # by mask value: pixels, and images
    sides: list[np.ndarray] = []  # of each image, (n,) the square roots of its sound boxes' areas
    by_image: list[list[Fault]] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        jobs = _in_order(pool, lambda index: inspect_image(dataset, index, decode), len(dataset))
        for record, faults, mask_pixels in track(jobs, "checking", total=len(dataset)):
            by_image.append(faults)
            with contextlib.suppress(OSError):
                state = record.path.stat()
                report.image_files.add(
                    (state.st_dev, state.st_ino)
                )  # the same file, whatever links lead to it
            boxes.update(record.labels.tolist())
            images.update(set(record.labels.tolist()))
            report.backgrounds += not len(record)
            if mask_pixels is not None:
                pixels += mask_pixels
                pictured += mask_pixels > 0
                report.masks += 1
            errors = [fault for fault in faults if fault.severity == "error"]
            faulty = {fault.box for fault in errors}
            usable = not any(map(_spoils_image, errors))
            sound = [box for box in range(len(record)) if usable and box not in faulty]
            corners = record.boxes[sound].astype(np.float64)  # (n, 4)
            sides.append(np.sqrt(np.prod(np.maximum(corners[:, 2:] - corners[:, :2], 0), axis=1)))
    named = list(enumerate(dataset.classes))
    report.counts = {name: boxes[label] for label, name in named}
    report.images_by_class = {name: images[label] for label, name in named}
    if dataset.semantic:
        report.pixels = {name: int(pixels[label]) for label, name in named}
        report.images_by_class = {name: int(pictured[label]) for label, name in named}
        report.ignored = int(pixels[IGNORED])
        report.backgrounds = sum(fault.kind == "empty-mask" for faults in by_image for fault in faults)
    report.sides = np.concatenate(sides) if sides else np.zeros(0)
    report.faults = [*itertools.chain(*by_image), *dataset.problems()]
    report.faults += dataset_faults(dataset, report)
    return report, by_image


def _opened(dataset: Dataset | str | Path, split: str | None, task: str | None, bits: int | None) -> Dataset:
    if isinstance(dataset, (str, Path)):
        from kzoo.data.opening import load

        return load(dataset, split, task=task, bits=bits)
    return dataset
