"""What a dataset as a whole shows to be wrong with it, where each of its images may be right."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from kzoo.data.checks.inspection import GROUND
from kzoo.data.checks.report import Report, plural
from kzoo.data.dataset import Dataset
from kzoo.data.fault import Fault
from kzoo.sources.finding import walk_files

_REMEDY = "label some, or take another part or folder"


def dataset_faults(dataset: Dataset, report: Report) -> list[Fault]:
    """Faults of no image in particular.

    Args:
        dataset: the dataset that was looked at.
        report: the report of its images, whose counts are complete.
    """
    where = f" in split {dataset.split!r}" if dataset.split else ""
    if not report.images:
        return [Fault(dataset.root, None, "empty-dataset", f"no images{where}")]
    counts = report.counts
    if report.semantic:
        counts = report.pixels if report.masks else {}
    nothing = _nothing(dataset, report)
    if nothing:
        return [Fault(dataset.root, None, "no-objects", nothing)]
    if not report.semantic and len(report.sides) and report.sides.max() <= 1:
        message = (
            "no box is larger than a pixel, as fractions of the image are; write boxes in the format's unit"
        )
        return [Fault(dataset.root, None, "fractions", message)]
    missing = [name for name, count in counts.items() if not count]
    message = "class {!r} has no example" + where
    return [
        Fault(dataset.root, None, "class-without-example", message.format(name), "warning")
        for name in missing
    ]


def _nothing(dataset: Dataset, report: Report) -> str | None:
    """What to say where there is nothing to learn on any image: no object, or no pixel but ground's.

    Nothing is said where images or masks cannot be used: then that is what is wrong.
    """
    kinds = Counter(fault.kind for fault in report.faults)
    if kinds["missing-image"] + kinds["unreadable-image"] == report.images:
        return None
    if not report.semantic:
        return None if report.boxes else _no_objects(dataset, report, kinds)
    ground, *others = dataset.classes
    if report.masks and ground.strip("_").lower() in GROUND:
        if any(report.pixels[name] for name in others):
            return None
        if kinds["image-without-label"] == report.images:
            return _no_objects(dataset, report, kinds)
        return f"nothing but {ground} in {_all(report.masks, 'mask')}; {_REMEDY}"
    outlined = not report.masks and not report.errors
    return _no_objects(dataset, report, kinds) if outlined and not report.boxes else None


def _no_objects(dataset: Dataset, report: Report, kinds: Counter) -> str:
    """What to say where no image has an object of a known class."""
    images = _all(report.images, "image")
    unlabelled, empty, unknown = (
        kinds[kind] for kind in ("image-without-label", "empty-file", "unknown-class")
    )
    if unlabelled == report.images:
        return f"no label file of {images} was found{_where_looked(dataset)}"
    reasons = [
        (unlabelled, "without a label file"),
        (empty, "with an empty one"),
        (unknown, "boxes of unknown classes"),
    ]
    why = ", ".join(f"{count} {what}" for count, what in reasons if count)
    if empty == report.images:
        why = "all label files are empty"
    in_brackets = f" ({why})" if why else ""
    return f"no object of a known class on {images}{in_brackets}; {_REMEDY}"


def _all(count: int, noun: str) -> str:
    return f"the only {noun}" if count == 1 else f"any of the {plural(count, noun)}"


def _where_looked(dataset: Dataset) -> str:
    """The places of the first image's label file, and what is there that may be meant for it."""
    places = dataset.label_places(0)
    if not places:
        return ""
    looked = f": that of {dataset.record(0).path} should be {' or '.join(map(str, places))}"
    near = next(filter(None, map(_other_case, places)), None)
    if near is not None:
        return f"{looked}; there is {near[0]}: rename it to {near[1]!r}"
    root = dataset.root if dataset.root.is_dir() else dataset.root.parent
    elsewhere = next((path for path in walk_files(root) if path.name == places[0].name), None)
    if elsewhere is not None:
        return f"{looked}; there is {elsewhere}: put images in a folder 'images' and labels in 'labels' beside it"
    return looked


def _other_case(path: Path) -> tuple[Path, str] | None:
    """What stands where the first missing part of a path should, in another letter case; and that part's name."""
    here = Path(path.anchor)
    for part in path.relative_to(here).parts:
        below = here / part
        if not below.exists():
            near = (
                (one for one in here.iterdir() if one.name.lower() == part.lower()) if here.is_dir() else ()
            )
            return next(((one, part) for one in sorted(near)), None)
        here = below
    return None
