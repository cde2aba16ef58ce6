"""Masks of what detectors find, in a photograph's pixels: pasted from cells or outermost points, and as patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from kzoo.augment.letterbox import Placement
from kzoo.structures.cells import paste_masks
from kzoo.structures.contours import fill_convex, octagons


class Patch(NamedTuple):
    """A mask where it has pixels, which is small beside a large photograph.

    Attributes:
        x: the photograph's column at which it begins.
        y: the photograph's row at which it begins.
        inside: (h, w) bool, its pixels.
    """

    x: int
    y: int
    inside: np.ndarray

    @property
    def area(self) -> tuple[int, int, int, int]:
        """Where it lies: x1, y1, x2, y2 in the photograph."""
        height, width = self.inside.shape
        return self.x, self.y, self.x + width, self.y + height

    @property
    def count(self) -> int:
        """Number of its pixels."""
        return int(np.count_nonzero(self.inside))

    def cut(self, area: Sequence[int]) -> Patch:
        """What of it lies in an area x1, y1, x2, y2 of the photograph."""
        left, top = max(0, area[0] - self.x), max(0, area[1] - self.y)
        right, bottom = max(0, area[2] - self.x), max(0, area[3] - self.y)
        return Patch(self.x + left, self.y + top, self.inside[top:bottom, left:right])


def in_photograph(rows: dict[str, np.ndarray], placement: Placement) -> dict[str, np.ndarray]:
    """One image's rows with their places in the photograph's pixels.

    Args:
        rows: `boxes` (N, 4) in the input's pixels, `scores`, `labels`, and `masks` or `extremes` where there are.
        placement: how the photograph lay in the input.

    Returns:
        The same with `boxes` and `extremes` (N, 4, 2) in the photograph, and `around` (N, 4), the boxes as they are
        where they reach beyond it, for cells of masks lie in those.
    """
    places = {
        "boxes": placement.to_original(rows["boxes"]),
        "around": placement.to_original(rows["boxes"], clip=False),
    }
    if "extremes" in rows:
        points = placement.to_original(rows["extremes"].reshape(-1, 2, 4), clip=False)
        places["extremes"] = points.reshape(-1, 4, 2)
    return {**rows, **places}


def masks_of(found: dict[str, np.ndarray], size: tuple[int, int], aligned: bool = False) -> np.ndarray | None:
    """The masks (N, H, W) bool of what `in_photograph` gives; None where a detector finds none.

    Args:
        found: `boxes`, and `masks` (N, S, S), probabilities inside `around`, 0 to 1, or `extremes`, the outermost
            points, whose octagons become masks.
        size: height and width of the photograph in pixels.
        aligned: how masks are pasted: see `kzoo.structures.cells.pasted`.
    """
    if "masks" in found:
        return paste_masks(found["masks"], found["around"], size, aligned=aligned)
    if "extremes" in found:
        return fill_convex(octagons(found["boxes"], found["extremes"]), size)
    return None


def patches_of(
    rows: dict[str, np.ndarray],
    tile: tuple[int, int],
    corner: Sequence[int],
    size: tuple[int, int],
    aligned: bool,
) -> np.ndarray | None:
    """The masks of what was found in a tile, where they lie in the photograph: (N,) of `Patch`; None without masks.

    Args:
        rows: what was found, as `in_photograph` takes it, in the tile's pixels.
        tile: height and width of the tile in pixels.
        corner: x and y of the tile in the photograph.
        size: height and width of the photograph, beyond which nothing is.
        aligned: how masks are pasted.
    """
    found = in_photograph(rows, Placement((1.0, 1.0), (0, 0), tile))
    patches = np.empty(len(found["scores"]), object)
    for row in range(len(patches)):  # one at a time: (h, w) each
        masks = masks_of({name: value[row : row + 1] for name, value in found.items()}, tile, aligned)
        if masks is None:
            return None
        patches[row] = _shrunk(Patch(*corner, masks[0]).cut((0, 0, *size[::-1])))
    return patches


def agreement(one: Patch, other: Patch, area: Sequence[int]) -> float:
    """Overlap (IoU) of two masks in an area x1, y1, x2, y2 of the photograph."""
    one, other = one.cut(area), other.cut(area)
    both = common(one, other)
    return both / max(one.count + other.count - both, 1)


def common(one: Patch, other: Patch) -> int:
    """How many pixels two masks share."""
    (x1, y1, x2, y2), (u1, v1, u2, v2) = one.area, other.area
    area = max(x1, u1), max(y1, v1), min(x2, u2), min(y2, v2)
    if area[0] >= area[2] or area[1] >= area[3]:
        return 0
    return int(np.count_nonzero(one.cut(area).inside & other.cut(area).inside))


def united(patches: Sequence[Patch]) -> Patch:
    """One mask of several."""
    areas = np.array([patch.area for patch in patches])  # (K, 4)
    (left, top), (right, bottom) = areas[:, :2].min(0).tolist(), areas[:, 2:].max(0).tolist()
    whole = Patch(left, top, np.zeros((bottom - top, right - left), bool))
    for patch in patches:
        _lay(patch, whole.inside, (left, top))
    return whole


def laid(patches: Sequence[Patch], size: tuple[int, int]) -> np.ndarray:
    """Patches as masks (N, H, W) bool of a photograph of (height, width) pixels."""
    masks = np.zeros((len(patches), *size), bool)
    for mask, patch in zip(masks, patches, strict=True):
        _lay(patch, mask, (0, 0))
    return masks


def _lay(patch: Patch, mask: np.ndarray, corner: tuple[int, int]) -> None:
    """Adds a patch to a mask (h, w) bool that begins at a corner x, y of the photograph."""
    left, top = patch.x - corner[0], patch.y - corner[1]
    height, width = patch.inside.shape
    mask[top : top + height, left : left + width] |= patch.inside


def _shrunk(patch: Patch) -> Patch:
    """The same without the rows and columns about it that have no pixel; a copy, which holds no larger array."""
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(patch.inside).view(np.uint8))
    return Patch(patch.x + x, patch.y + y, patch.inside[y : y + height, x : x + width].copy())
