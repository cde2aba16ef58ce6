"""What instance masks lose by their cells: IoU of a mask with itself, cut out, brought to cells and pasted back."""

import itertools

import numpy as np
import pytest

from kzoo import data
from kzoo.structures.cells import crop_masks, paste_masks

SIDES = (14, 28, 56, 112)

pytestmark = pytest.mark.benchmark


def overlaps(dataset, side, aligned):
    """Of every object that is no crowd the IoU (N,), and the longer side of its box in pixels (N,)."""
    ious, sides = [], []
    for sample in dataset:
        cells = crop_masks(sample.masks, sample.boxes, side)
        pasted = paste_masks(cells / 255.0, sample.boxes, sample.size, aligned=aligned)
        for number in np.flatnonzero(~sample.crowd):
            true, back = sample.masks[number], pasted[number]
            if true.any():
                ious.append((true & back).sum() / (true | back).sum())
                sides.append((sample.boxes[number, 2:] - sample.boxes[number, :2]).max())
    return np.array(ious), np.array(sides)


@pytest.mark.parametrize("name", ["nuclei", "coco-open", "shapes:100:256"])
def test_what_cells_cost(name, shared, capsys):
    path = name if name.startswith("shapes") else shared / "data" / name
    dataset = data.load(path, task="instance")
    for side, aligned in itertools.product(SIDES, (True, False)):
        ious, sides = overlaps(dataset, side, aligned)
        parts = [sides < 32, (sides >= 32) & (sides < 96), sides >= 96]
        means = "  ".join(f"{ious[part].mean():.4f} ({part.sum()})" for part in parts if part.any())
        with capsys.disabled():
            print(
                f"\n{name}, S {side:3}, {'aligned' if aligned else 'torchvision'}: mean {ious.mean():.4f}, "
                f"5 % below {np.quantile(ious, 0.05):.3f}; small, medium, large {means}"
            )
        assert ious.mean() > (0.95 if aligned else 0.75)
