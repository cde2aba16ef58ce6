"""What makes a semantic mask unusable."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kzoo.data.fault import Fault, FaultError
from kzoo.structures import IGNORED

FEW = 0.02  # of the pixels: of so few it is likely that they are strays, not a class
NEAREST, TO_IGNORE = "nearest", "ignored"  # what becomes of levels that are no class, as a legend says it

# All of them leave an image without a usable mask.
KINDS = frozenset(
    {
        "all-ignored",
        "coloured-mask",
        "deep-mask",
        "lossy-mask",
        "mask-size",
        "missing-mask",
        "no-outline",
        "stray-value",
        "unknown-colour",
        "unreadable-mask",
    }
)


def verified(mask: np.ndarray, size: tuple[int, int], classes: int, file: Path) -> np.ndarray:
    """The mask itself, if it can be trained on.

    Args:
        mask: (H, W) uint8 class numbers, 255 = ignored.
        size: (height, width) of the image.
        classes: the number of classes; values below it, and 255, are sound.
        file: what errors call the mask.

    Raises:
        ValueError: it is of another size, has values that are no class, or nothing but ignored pixels.
    """
    refuse_size(mask.shape, size, file)
    # Nothing of this depends on the order of pixels, and maxima of bytes are fast.
    if classes < IGNORED:
        stray = (mask >= classes) & (mask != IGNORED)
        if stray.any():
            raise stray_values(mask, stray, classes, file)
    if mask.size and mask.min() == IGNORED:
        fault = Fault(file, None, "all-ignored", "every pixel is ignored (255): nothing to learn")
        raise FaultError(fault, "correct the mask, or leave the image out with --skip-faulty")
    return mask


def refuse_size(shape: tuple[int, int], size: tuple[int, int], file: Path) -> None:
    """Raises the error of a mask of `shape` on an image of `size`, both (height, width), if they differ."""
    if tuple(shape) != tuple(size):
        message = f"a mask of {shape[1]} x {shape[0]} pixels on an image of {size[1]} x {size[0]}"
        fault = Fault(file, None, "mask-size", message)
        raise FaultError(fault, "make the mask anew at the size of the image")


def stray_values(
    mask: np.ndarray, stray: np.ndarray, classes: int, file: Path, binary: bool = False
) -> FaultError:
    """The error of a mask with values that are no class.

    Args:
        mask: (H, W) of whole numbers.
        stray: (H, W) bool, the pixels with such a value.
        classes: the number of classes.
        file: what errors call the mask.
        binary: whether its levels are 0 and 255.
    """
    known = "0 and 255" if binary else f"0 to {classes - 1}, and 255 for ignored pixels"
    count = np.count_nonzero(stray)
    message = f"value {_listed(mask[stray], 5)} on {count} pixels, but {classes} classes: {known}"
    if count <= FEW * mask.size:
        nearest = f"'others = {NEAREST}' or " if binary else ""
        remedy = f"correct the mask, or write the line {nearest}'others = {TO_IGNORE}' to legend.txt"
    else:
        remedy = (
            f"correct the mask, name the missing classes, or write legend.txt with a line 'name red green blue' for "
            f"each level (here {_listed(mask, 20)})"
        )
    return FaultError(Fault(file, None, "stray-value", message), remedy)


def _listed(pixels: np.ndarray, most: int) -> str:
    """The values of pixels, up to so many."""
    values = np.unique(pixels).tolist()
    return ", ".join(map(str, values[:most])) + (", ..." if len(values) > most else "")


def unreadable_mask(file: Path, message: str | Exception) -> FaultError:
    """The error of a mask file that is no image; `message` may be what an image reader says of it."""
    message = str(message).removeprefix(f"{file}: ").partition(";")[0]
    return FaultError(Fault(file, None, "unreadable-mask", message), "replace or remove the file")
