"""What `kzoo data check` says: faults, counts and box sizes, as text or plain data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kzoo.data.dataset import Fault

_EDGES = (0, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 1024)
_SMALL, _MEDIUM = 32**2, 96**2  # COCO's bounds, square pixels


@dataclass
class Report:
    """What `check` found.

    Attributes:
        root: the dataset.
        split: the part of it that was looked at; None for all.
        format: "voc", "yolo", "coco" or "shapes".
        faults: all of them, errors and warnings, in the dataset's order.
        images: how many images it names.
        backgrounds: how many of them have no box.
        counts: boxes by class name, in the order of the labels.
        images_by_class: images a class occurs in.
        sides: for every sound box the square root of its area, in pixels.
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
                lines.append(f"... and {len(group) - len(shown)} more {severity}s [{kind}]: --all shows them")
        return "\n".join(lines)

    def format_text(self, limit: int | None = 10) -> str:
        """The whole report as text: counts, box sizes, faults and how many there are."""
        part = f", split {self.split}" if self.split else ""
        head = (
            f"{self.root}{part}: {self.format}, {plural(self.images, 'image')}, {plural(self.boxes, 'box')}"
        )
        background = f", {self.backgrounds} of the images without a box" if self.backgrounds else ""
        faults = self.format_faults(limit=limit)
        blocks = [head + background, self._class_table(), self._size_table(), faults, self.summary()]
        return "\n\n".join(block for block in blocks if block)

    def _class_table(self) -> str:
        rows = [(name, count, self.images_by_class[name]) for name, count in self.counts.items()]
        width = max((len(name) for name in self.counts), default=0)
        width = max(width, len("class"))
        most = max(self.counts.values(), default=0)
        lines = [f"{'class':{width}}  {'boxes':>8}  {'images':>8}"]
        lines += [f"{name:{width}}  {n:8}  {images:8}  {_bar(n, most)}" for name, n, images in rows]
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
            "classes": [
                {"name": name, "boxes": count, "images": self.images_by_class[name]}
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


def _bar(count: int, most: int, width: int = 40) -> str:
    return "#" * (-(-count * width // most) if count else 0)


def plural(count: int, noun: str) -> str:
    """ "1 box", "3 boxes", "0 errors"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith('x') else 's'}"
