"""Large images through small networks: tiles that overlap, blended where they meet."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np


class Tiling:
    """Lays tiles over an image, and their results together.

    Neighbouring tiles share `overlap` pixels and a seam besides. Of a tile the outer half of the overlap is not
    used, for there the network sees the tile's border; across the seam, one tile fades into the next. All tiles
    start at multiples of the network's stride, so that its poolings fall where they would in the whole image.

    Args:
        size: height and width of the image in pixels.
        tile: height and width of the tiles, multiples of `multiple`.
        overlap: pixels that neighbouring tiles share besides the seam; a quarter of the tile's shorter side where None.
        multiple: number of pixels that the network's sides are multiples of, 1 by default.

    Attributes:
        rows: the first pixel row of each row of tiles.
        columns: the first pixel column of each column of tiles.
        seam: number of pixels in which one tile fades into the next, a quarter of the overlap.
        padded: height and width in pixels that the image is continued to.

    Raises:
        ValueError: the overlap leaves nothing of a tile.

    Source: Ronneberger et al. 2015, arXiv:1505.04597, section 2 (overlap-tile strategy).
    """

    def __init__(
        self, size: tuple[int, int], tile: tuple[int, int], overlap: int | None = None, multiple: int = 1
    ):
        self.size, self.tile, self.multiple = size, tile, multiple
        self.overlap = min(tile) // 4 if overlap is None else overlap
        self.seam = self.overlap // 4
        if min(tile) - self.overlap - self.seam < multiple:
            raise ValueError(
                f"overlap={self.overlap}: leaves too little of tiles of {tile[0]}x{tile[1]} pixels; "
                f"give {4 * (min(tile) - multiple) // 5} or less"
            )
        # Whole multiples, so that the last tile, too, starts at one.
        self.padded = tuple(
            max(least, -(-side // multiple) * multiple) for side, least in zip(size, tile, strict=True)
        )
        self.rows, self.columns = (self._starts(axis) for axis in (0, 1))

    def _starts(self, axis: int) -> list[int]:
        """Where the tiles start along an axis; the last one ends with the image, wherever its predecessor does."""
        step = (self.tile[axis] - self.overlap - self.seam) // self.multiple * self.multiple
        last = self.padded[axis] - self.tile[axis]
        return [*range(0, last, step), last]

    def run(
        self, image: np.ndarray, predict: Callable[[np.ndarray], np.ndarray], probabilities: bool = False
    ):
        """The result of a whole image.

        Args:
            image: (H, W, 3) uint8; small ones are continued by their mirror image.
            predict: takes tiles (B, h, w, 3) uint8 and gives probabilities (B, h, w, C).
            probabilities: whether they are wanted besides the mask.

        Returns:
            The mask (H, W) uint8, and the probabilities (H, W, C) float32 or None. Besides these no more is held
            than one row of tiles.
        """
        image = self.continued(image)
        height, width = self.size
        # A band is as high as a tile: the weighted sums of the probabilities, and in its last channel the sum of the
        # weights. It moves down the image with the rows of tiles; what no further tile covers is finished.
        mask, whole, band = np.empty(self.size, np.uint8), None, None
        across = [self._weights(1, start) for start in self.columns]
        for row, following in pairwise([*self.rows, self.padded[0]]):
            below = image[row : row + self.tile[0]]
            tiles = np.stack([below[:, column : column + self.tile[1]] for column in self.columns])
            results = predict(tiles)  # (tiles of the row, h, w, C)
            if band is None:
                classes = results.shape[-1]
                band = np.zeros((self.tile[0], self.padded[1], classes + 1), np.float32)
                whole = np.empty((*self.size, classes), np.float32) if probabilities else None
            down = self._weights(0, row)
            for column, weights, result in zip(self.columns, across, results, strict=True):
                share = down[:, None, None] * weights[:, None]  # (h, w, 1)
                part = band[:, column : column + self.tile[1]]
                part[..., :-1] += share * result
                part[..., -1:] += share
            done = following - row
            end = min(following, height)
            if end > row:
                sums = band[: end - row, :width]
                mask[row:end] = sums[..., :-1].argmax(-1)
                if whole is not None:
                    whole[row:end] = sums[..., :-1] / sums[..., -1:]
            band[:-done] = band[done:]
            band[-done:] = 0
        return mask, whole

    def continued(self, image: np.ndarray) -> np.ndarray:
        """The image continued by its mirror image, to whole tiles."""
        bottom, right = (padded - side for padded, side in zip(self.padded, self.size, strict=True))
        if not bottom and not right:
            return image
        return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT)

    def _weights(self, axis: int, start: int) -> np.ndarray:
        """(tile,) 0 next to the borders inside the image, 1 in the middle, rising across the seam."""
        length = self.tile[axis]
        weights = np.ones(length, np.float32)
        unused = self.overlap // 2
        # Never 0 within the seam: each pixel of the image is some tile's.
        rise = (np.arange(self.seam, dtype=np.float32) + 0.5) / max(1, self.seam)
        edge = np.concatenate([np.zeros(unused, np.float32), rise])
        if start > 0:
            weights[: len(edge)] *= edge
        if start + length < self.padded[axis]:
            weights[length - len(edge) :] *= edge[::-1]
        return weights
