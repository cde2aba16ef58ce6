"""One sample's row in the targets of a batch."""

from __future__ import annotations

import numpy as np

from kzoo.structures import IGNORED, Sample
from kzoo.structures.cells import crop_masks

# Targets without objects: all padding, all pixels ignored.
BLANK = {"boxes": 0, "labels": -1, "mask": IGNORED, "weights": 1, "label": 0, "masks": 0, "proposals": 0}


def fill_objects(targets: dict[str, np.ndarray], row: int, sample: Sample) -> None:
    """Writes a sample's objects into its row of the targets; what lies behind them is padding already."""
    count = len(sample.boxes)
    targets["boxes"][row, :count] = sample.boxes  # of (B, M, 4)
    # A box without a class is a region that losses ignore: nobody says that nothing is there.
    targets["labels"][row, :count] = np.where(sample.difficult | sample.crowd, -1, sample.labels)  # of (B, M)
    if sample.weights is not None:
        targets["weights"][row, :count] = sample.weights
    if "masks" in targets and count:
        cells = crop_masks(sample.masks, sample.boxes, targets["masks"].shape[-1])  # (N, S, S)
        targets["masks"][row, :count] = cells
        # Of what is too small for a pixel of its own the shape is not known: losses ignore that region, too.
        targets["labels"][row, :count][~cells.any((1, 2))] = -1


def fill_proposals(rows: np.ndarray, sample: Sample) -> None:
    """Writes the best ranked of a sample's proposals into its rows (P, 4); what lies behind them is padding already."""
    count = min(len(rows), len(sample.proposals))
    rows[:count] = sample.proposals[:count]


def fill_pixels(targets: dict[str, np.ndarray], row: int, sample: Sample) -> None:
    """Writes a sample's semantic mask, and its weights if it has some, into its row of the targets."""
    targets["mask"][row] = sample.mask  # of (B, H, W)
    if sample.pixel_weights is not None:
        targets["weights"][row] = sample.pixel_weights
