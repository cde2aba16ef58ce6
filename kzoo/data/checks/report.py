"""What `kzoo data check` says: faults, counts and box sizes, as text or plain data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kzoo.data.fault import Fault
from kzoo.system.messages import printable

_EDGES = (0, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 1024)
_SMALL, _MEDIUM = 32**2, 96**2  # COCO's bounds, square pixels


@dataclass
class Report:
    """What `check` found.

    Attributes:
        root: the folder or file the dataset was opened from.
        split: the part of it that was looked at; None for all.
        format: "voc", "yolo", "coco", "masks", "instances", "arrays", "bdd100k", "shapes" or "roads".
        faults: all of them, errors and warnings, in the dataset's order.
        images: how many images it names.
        backgrounds: how many of them have no box or, of semantic masks, nothing but ground.
        counts: boxes by class name, in the order of the labels.
        images_by_class: number of images a class occurs in, by class name.
        sides: for every sound box the square root of its area, in pixels.
        semantic: whether the dataset is one of semantic masks.
        masks: how many of those could be used and were decoded.
        pixels: pixels by class name, in the order of the mask values, over the masks that were decoded.
        ignored: how many pixels of the decoded masks are ignored (value 255).
        image_files: device and number of every image file, by which the file system knows it.
    """

    root: Path
    split: str | None
    format: str
    faults: list[Fault] = field(default_factory=list)
    images: int = 0
    backgrounds: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    images_by_class: dict[str, int] = field(default_factory=dict)
    sides: np.ndarray = field(default_factory=lambda: np.zeros(0))
    semantic: bool = False
    masks: int = 0
    pixels: dict[str, int] = field(default_factory=dict)
    ignored: int = 0
    image_files: set[tuple[int, int]] = field(default_factory=set)

    @property
    def errors(self) -> list[Fault]:
        """Faults that stop a training."""
        return [fault for fault in self.faults if fault.severity == "error"]

    @property
    def warnings(self) -> list[Fault]:
        """Oddities that do not."""
        return [fault for fault in self.faults if fault.severity != "error"]

    @property
    def boxes(self) -> int:
        """How many boxes of known classes there are."""
        return sum(self.counts.values())

    @property
    def sizes(self) -> dict[str, int]:
        """Sound boxes by COCO's small, medium and large."""
        areas = self.sides**2
        small, large = int((areas < _SMALL).sum()), int((areas > _MEDIUM).sum())
        return {"small": small, "medium": len(areas) - small - large, "large": large}

    @property
    def histogram(self) -> list[tuple[int, int | None, int]]:
        """(from, below, boxes) by the square root of a box's area in pixels; `below` None is no bound."""
        counts, _ = np.histogram(self.sides, bins=[*_EDGES, np.inf])
        return [(low, high, int(n)) for low, high, n in zip(_EDGES, [*_EDGES[1:], None], counts, strict=True)]

    def summary(self) -> str:
        """ "2 errors, 1 warning"."""
        return f"{plural(len(self.errors), 'error')}, {plural(len(self.warnings), 'warning')}"

    def format_faults(self, faults: Sequence[Fault] | None = None, limit: int | None = 10) -> str:
        """The faults, one a line, errors first; of each kind the first `limit`."""
        faults = [*self.errors, *self.warnings] if faults is None else faults
        by_kind = defaultdict(list)
        for fault in faults:
            by_kind[fault.severity, fault.kind].append(fault)
        lines = []
        for (severity, kind), group in by_kind.items():
            shown = group if limit is None else group[:limit]
            lines += [str(fault) for fault in shown]
            if len(group) > len(shown):
                lines.append(
                    f"... and {len(group) - len(shown)} more {severity}s [{kind}]: kzoo data check --all shows them"
                )
        return "\n".join(lines)

    def summarise(self, faults: Sequence[Fault], examples: int = 3) -> str:
        """How many faults there are of each kind, the most frequent first, with the first `examples` of each."""
        by_kind = defaultdict(list)
        for fault in faults:
            by_kind[fault.kind].append(fault)
        severity = faults[0].severity if faults else "fault"
        lines = [f"{plural(len(faults), severity)}; kzoo data check --all lists them"]
        for kind, group in sorted(by_kind.items(), key=lambda item: -len(item[1])):
            lines.append(f"  {len(group)} {kind}")
            lines += [f"    {fault.place}: {fault.message}" for fault in group[:examples]]
            lines += ["    ..."] * (len(group) > examples)
        return "\n".join(lines)

    def format_text(self, limit: int | None = 10) -> str:
        """The whole report as text: counts, box sizes, faults and how many there are."""
        part = f", split {self.split}" if self.split else ""
        counts = [self.format, plural(self.images, "image")]
        counts += [plural(self.masks, "mask")] if self.semantic else []
        counts += [plural(self.boxes, "box")] if self.boxes or not self.semantic else []
        if self.backgrounds:
            counts.append(
                f"{self.backgrounds} of the images " + ("empty" if self.semantic else "without a box")
            )
        head = f"{self.root}{part}: {', '.join(counts)}"
        tables = [self._pixel_table()] if self.semantic else [self._class_table(), self._size_table()]
        blocks = [head, *tables, self.format_faults(limit=limit), self.summary()]
        return printable("\n\n".join(block for block in blocks if block))

    def _class_table(self) -> str:
        rows = [(name, count, self.images_by_class[name]) for name, count in self.counts.items()]
        width = max((len(name) for name in self.counts), default=0)
        width = max(width, len("class"))
        most = max(self.counts.values(), default=0)
        lines = [f"{'class':{width}}  {'boxes':>8}  {'images':>8}"]
        lines += [f"{name:{width}}  {n:8}  {images:8}  {_bar(n, most)}" for name, n, images in rows]
        return "\n".join(line.rstrip() for line in lines)

    def _pixel_table(self) -> str:
        if not self.masks:
            return ""
        total = sum(self.pixels.values())
        rows = [(name, count, self.images_by_class[name]) for name, count in self.pixels.items()]
        width = max(len("ignored"), *(len(name) for name in self.pixels))
        most = max(self.pixels.values())
        lines = [f"{'class':{width}}  {'pixels':>12}  {'share':>7}  {'images':>8}  {'share':>7}"]
        for name, count, images in rows:
            shares = f"{count / max(total, 1):7.2%}", f"{images / self.masks:7.2%}"
            lines.append(
                f"{name:{width}}  {count:12}  {shares[0]}  {images:8}  {shares[1]}  {_bar(count, most, 20)}"
            )
        if self.ignored:
            lines.append(
                f"{'ignored':{width}}  {self.ignored:12}  {self.ignored / (total + self.ignored):7.2%} of all"
            )
        return "\n".join(line.rstrip() for line in lines)

    def _size_table(self) -> str:
        if not len(self.sides):
            return ""
        rows = self.histogram
        filled = [row for row, (_, _, n) in enumerate(rows) if n]
        rows = rows[filled[0] : filled[-1] + 1]
        most = max(n for _, _, n in rows)
        lines = ["box size (square root of the area, pixels)"]
        for low, high, n in rows:
            span = f"{low}-{high}" if high is not None else f"{low}-"
            lines.append(f"{span:>9}  {n:8}  {_bar(n, most)}".rstrip())
        sizes = self.sizes
        lines.append(
            f"COCO's small (< 32 x 32): {sizes['small']}, medium: {sizes['medium']}, "
            f"large (> 96 x 96): {sizes['large']}"
        )
        return "\n".join(lines)

    def to_dict(self) -> dict:
        """Plain data for JSON."""
        return {
            "path": str(self.root),
            "split": self.split,
            "format": self.format,
            "images": self.images,
            "backgrounds": self.backgrounds,
            "boxes": self.boxes,
            "masks": self.masks if self.semantic else None,
            "ignored_pixels": self.ignored if self.semantic else None,
            "classes": [
                {"name": name, "boxes": count, "images": self.images_by_class[name]} | self._shares(name)
                for name, count in self.counts.items()
            ],
            "sizes": self.sizes,
            "histogram": [{"from": low, "below": high, "boxes": n} for low, high, n in self.histogram],
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "faults": [
                {
                    "file": str(fault.file),
                    "line": fault.line,
                    "element": fault.element or None,
                    "kind": fault.kind,
                    "severity": fault.severity,
                    "message": fault.message,
                }
                for fault in self.faults
            ],
        }

    def _shares(self, name: str) -> dict:
        """Of a class in semantic masks: its pixels, their share, and that of the images it is on."""
        if not self.semantic:
            return {}
        pixels = self.pixels[name]
        return {
            "pixels": pixels,
            "pixel_share": pixels / max(sum(self.pixels.values()), 1),
            "image_share": self.images_by_class[name] / max(self.masks, 1),
        }


def _bar(count: int, most: int, width: int = 40) -> str:
    return "#" * (-(-count * width // most) if count else 0)


def plural(count: int, noun: str) -> str:
    """ "1 box", "3 boxes", "0 errors"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith('x') else 's'}"
