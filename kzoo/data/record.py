"""The annotation of one image as its file has it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kzoo.data.fault import Fault


@dataclass
class Record:
    """The annotation of one image as its file has it: nothing decoded, clipped or left out.

    Attributes:
        path: the image file.
        boxes: (N, 4) float32 xyxy pixels of the upright image, 0-based, right and bottom edges exclusive.
        labels: (N,) int64 indices into the dataset's classes; one outside of them is an unknown class.
        difficult: (N,) bool, Pascal VOC's flag.
        crowd: (N,) bool, COCO's `iscrowd`.
        id: file stem or COCO image id.
        source: the annotation file; None where there is none.
        lines: line of every box in `source`, or its position in `element`.
        size: (height, width) the annotation file claims; None where it does not say.
        polygons: for every box a list of (K, 2) float64 arrays in pixels, a COCO RLE dict, or None.
        areas: (N,) float64 square pixels the annotation file claims; None where it does not say.
        xywh: (N, 4) float64 x, y, width, height as the annotation file has them, where it has them so; None where not.
        element: the list of a JSON file that `lines` counts in.
        problems: what could not be read as a box at all.
        mask: the file of the semantic mask; None where there is none, or where it is drawn from `polygons`.
    """

    path: Path
    boxes: np.ndarray = None
    labels: np.ndarray = None
    difficult: np.ndarray = None
    crowd: np.ndarray = None
    id: str | int = ""
    source: Path | None = None
    lines: list[int] = field(default_factory=list)
    size: tuple[int, int] | None = None
    polygons: list | None = None
    areas: np.ndarray | None = None
    element: str = ""
    problems: list[Fault] = field(default_factory=list)
    mask: Path | None = None
    xywh: np.ndarray | None = None

    def __post_init__(self):
        with np.errstate(over="ignore"):  # to infinity, of which kzoo.data.checks.check tells
            self.boxes = np.asarray(() if self.boxes is None else self.boxes, np.float32).reshape(-1, 4)
        count = len(self.boxes)
        self.labels = np.asarray(() if self.labels is None else self.labels, np.int64).reshape(count)
        for name in ("difficult", "crowd"):
            value = getattr(self, name)
            setattr(
                self, name, np.zeros(count, bool) if value is None else np.asarray(value, bool).reshape(count)
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def fault(self, kind: str, message: str, severity: str = "error", box: int | None = None) -> Fault:
        """A fault of this record's annotation file.

        Args:
            kind: a short name of the fault, such as "zero-area".
            message: what is wrong, with the value.
            severity: "error" stops a training, "warning" does not.
            box: position of the faulty box, from 0, whose line is told; None where it is about the whole file.
        """
        line = self.lines[box] if box is not None and box < len(self.lines) else None
        return Fault(self.source or self.path, line, kind, message, severity, self.element, box)

    def select(self, keep: np.ndarray) -> Record:
        """The record with the boxes of `keep` (N bool) alone, and without problems."""
        picked = np.flatnonzero(keep)
        return dataclasses.replace(
            self,
            boxes=self.boxes[picked],
            labels=self.labels[picked],
            difficult=self.difficult[picked],
            crowd=self.crowd[picked],
            lines=[self.lines[i] for i in picked] if self.lines else [],
            polygons=None if self.polygons is None else [self.polygons[i] for i in picked],
            areas=None if self.areas is None else self.areas[picked],
            xywh=None if self.xywh is None else self.xywh[picked],
            problems=[],
        )
