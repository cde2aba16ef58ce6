"""What makes a semantic mask unusable."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from kzoo.data.fault import Fault, FaultError
from kzoo.structures import IGNORED

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
        mask: (H, W) uint8.
        size: (height, width) of the image.
        classes: how many there are.
        file: what errors call the mask.

    Raises:
        ValueError: it is of another size, has values that are no class, or nothing but ignored pixels.
    """
    refuse_size(mask.shape, size, file)
    # Nothing of this depends on the order of pixels, and maxima of bytes are fast.
    stray = mask[(mask >= classes) & (mask != IGNORED)] if classes < IGNORED else ()
    if len(stray):
        raise stray_values(np.unique(stray), classes, file)
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


def stray_values(values: Iterable[int], classes: int, file: Path) -> FaultError:
    """The error of a mask with `values` that are no class."""
    values = [int(value) for value in values]
    shown = ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")
    message = f"value {shown}, but {classes} classes: 0 to {classes - 1}, and 255 for ignored pixels"
    return FaultError(
        Fault(file, None, "stray-value", message), "correct the mask, or name the missing classes"
    )


def unreadable_mask(file: Path, message: str | Exception) -> FaultError:
    """The error of a mask file that is no image; `message` may be what an image reader says of it."""
    message = str(message).removeprefix(f"{file}: ").partition(";")[0]
    return FaultError(Fault(file, None, "unreadable-mask", message), "replace or remove the file")
