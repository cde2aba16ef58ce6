"""One batch of one epoch: decode, augment, resize, pad to fixed shapes.

All chance is a function of (seed, epoch, place): whoever makes a batch, and whenever, it is the same byte
for byte; and those of any epoch can be made without making the ones before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kzoo.augment.compose import Compose
from kzoo.augment.geometric import select
from kzoo.structures import Sample

# What a stream of random numbers is for. They come first in its seed: trailing zeros make no difference there.
_ORDER, _SAMPLE, _SIZE = 1, 2, 3
SIZE_STEPS = 10  # Darknet, detector.c: with random=1 another input size every ten batches.
_DEFAULT_MAX_BOXES = 100  # For datasets that cannot tell their box counts without decoding the images.

Batch = tuple[np.ndarray, dict[str, np.ndarray]]


def most_boxes(dataset) -> int:
    """Boxes in the fullest image, rounded up to a multiple of 8; from the annotations alone.

    100 for a dataset that has no `record(i)`.
    """
    if not hasattr(dataset, "record"):
        return _DEFAULT_MAX_BOXES
    most = max(len(dataset.record(i).boxes) for i in range(len(dataset)))
    return max(8, -(-most // 8) * 8)


@dataclass(frozen=True)
class BatchMaker:
    """Makes any batch of any epoch by itself; what workers share.

    Attributes:
        dataset: the samples.
        compose: what a sample goes through.
        sizes: (height, width), one or several.
        batch_size: images in a batch.
        steps: batches in an epoch.
        max_boxes: rows of the targets.
        shuffle: whether epochs differ in their order.
        seed: of all chance.
        mosaic_epochs: the epoch from which on there are no mosaics, or None.
        size_steps: batches of one size in a row.
    """

    dataset: Any
    compose: Compose
    sizes: tuple[tuple[int, int], ...]
    batch_size: int
    steps: int
    max_boxes: int
    shuffle: bool
    seed: int
    mosaic_epochs: int | None
    size_steps: int = SIZE_STEPS

    def order(self, epoch: int) -> np.ndarray:
        """Positions in the dataset, in the order of an epoch."""
        count = len(self.dataset)
        return _permutation(self.seed, epoch, count) if self.shuffle else np.arange(count)

    def size(self, epoch: int, step: int) -> tuple[int, int]:
        """Height and width of a batch: in turns from the first and second half of the shuffled sizes.

        So neighbours differ. An epoch's first batch has a turn of its own, because Keras learns from the
        first two batches which sides vary.
        """
        if len(self.sizes) == 1:
            return self.sizes[0]
        turns = 1 + -(-(self.steps - 1) // self.size_steps)
        turn = epoch * turns + -(-step // self.size_steps)
        shuffled = np.random.default_rng((_SIZE, self.seed)).permutation(len(self.sizes))
        half = shuffled[turn % 2 :: 2]
        return self.sizes[half[np.random.default_rng((_SIZE, self.seed, turn + 1)).integers(len(half))]]

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch `step` of `epoch`."""
        rows = self.order(epoch)[step * self.batch_size : (step + 1) * self.batch_size]
        size = self.size(epoch, step)
        images = np.empty((len(rows), *size, 3), np.uint8)
        boxes = np.zeros((len(rows), self.max_boxes, 4), np.float32)
        labels = np.full((len(rows), self.max_boxes), -1, np.int32)
        for row, index in enumerate(rows):
            sample = self.sample(epoch, int(index), size)
            count = len(sample.boxes)
            images[row] = sample.image
            boxes[row, :count] = sample.boxes
            labels[row, :count] = np.where(sample.difficult | sample.crowd, -1, sample.labels)
        return images, {"boxes": boxes, "labels": labels}

    def sample(self, epoch: int, index: int, size: tuple[int, int]) -> Sample:
        """Sample `index` as `epoch` shows it."""
        rng = np.random.default_rng((_SAMPLE, self.seed, epoch, index))
        partner: Callable | None = None
        if self.mosaic_epochs is None or epoch < self.mosaic_epochs:
            # The partners' order in the rng is that of the calls, hence always the same.
            def partner():
                return self.read(int(rng.integers(len(self.dataset))))

        sample = self.compose(rng, self.read(index), size, partner)
        if len(sample.boxes) > self.max_boxes:
            raise ValueError(
                f"image {sample.id!r}: {len(sample.boxes)} boxes, but max_boxes is {self.max_boxes}; "
                f"give max_boxes={len(sample.boxes)} or more, or leave it out"
            )
        return sample

    def read(self, index: int) -> Sample:
        """Sample `index` of the dataset, its boxes clipped to the image.

        Raises:
            ValueError: a box is not finite or has no area inside the image, or its label is no class.
        """
        sample = self.dataset[index]
        height, width = sample.size
        boxes = np.clip(sample.boxes, 0, (width, height, width, height))
        # Comparisons with NaN are false, infinities are no more infinite once clipped.
        bad = ~((boxes[:, 2:] > boxes[:, :2]).all(1) & np.isfinite(sample.boxes).all(1))
        bad |= (sample.labels < 0) | (sample.labels >= len(self.dataset.classes))
        if bad.any():
            i = int(bad.argmax())
            box = ", ".join(f"{v:g}" for v in sample.boxes[i])
            raise ValueError(
                f"image {sample.id!r}: box {i} ({box}) with label {sample.labels[i]} cannot be trained on; "
                "see `kzoo data check`, mend it or skip it"
            )
        return select(sample, np.arange(len(boxes)), boxes)


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((_ORDER, seed, epoch)).permutation(count)
