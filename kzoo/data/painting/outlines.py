"""Outlines of any form as polygons, and several polygons as one."""

from __future__ import annotations

import cv2
import numpy as np

from kzoo.data.painting.rle import draw_union
from kzoo.structures.contours import polygon, regions

_MOST_PIECES = 500  # of a mask: parts and holes. More are noise, and the way around them is long.
_NEAREST = (
    10**6
)  # pairs of points among which the shortest seam is looked for, else the first points are joined


def to_polygons(shape: list[np.ndarray] | dict, size: tuple[int, int]) -> list[np.ndarray] | None:
    """Polygons (K, 2) float64 that cover what an outline covers; None where it is in too many pieces.

    Args:
        shape: polygons, which stay as they are, or an RLE of the image's size.
        size: (height, width) of the image.
    """
    if not isinstance(shape, dict):
        return list(shape)
    mask = draw_union([shape], size)
    pieces, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if len(pieces) > _MOST_PIECES:
        return None
    return [polygon(region, box[:2]).astype(np.float64) for region, box in regions(mask)]


def joined(polygons: list[np.ndarray]) -> np.ndarray:
    """One polygon (K, 2) of several, with seams of no width between them.

    The way leads to the point that lies nearest to the next piece, along that one back to where it began, and on: the
    two lines of a seam cover each other.
    """
    outline = polygons[0]  # (K, 2)
    for piece in polygons[1:]:
        leave, enter = 0, 0  # the points of the outline and of the next piece that the seam joins
        if len(outline) * len(piece) <= _NEAREST:
            distances = np.square(outline[:, None] - piece[None]).sum(-1)  # (K, L)
            leave, enter = np.unravel_index(int(distances.argmin()), distances.shape)
        around = np.roll(piece, -enter, axis=0)  # (L, 2), from where the seam enters
        outline = np.concatenate([outline[: leave + 1], around, around[:1], outline[leave:]])
    return outline
