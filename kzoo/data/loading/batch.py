"""One batch of one epoch: decode, augment, resize, pad to fixed shapes.

All chance is a function of (seed, epoch, place): whoever makes a batch, and whenever, it is the same byte
for byte; and those of any epoch can be made without making the ones before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kzoo.augment.compose import Compose
from kzoo.data.loading.cache import Recent
from kzoo.data.loading.sampling import repeated_order
from kzoo.structures import IGNORED, Sample

# What a stream of random numbers is for. They come first in its seed: trailing zeros make no difference there.
_ORDER, _SAMPLE, _SIZE = 1, 2, 3
SIZE_STEPS = 10  # Darknet, detector.c: with random=1 another input size every ten batches.
# Every fourth batch is of one lane, and a mosaic's others come from its lane: workers, each with every second or
# every fourth batch, share no images, so processes decode none twice.
LANES = 4
_PARTNERS = 64  # Images of a lane that others are drawn from: few enough to keep decoded.
_DEFAULT_MAX_BOXES = 100  # For datasets that cannot tell their box counts without decoding the images.
# Targets without objects: all padding, all pixels ignored.
_BLANK = {"boxes": 0, "labels": -1, "mask": IGNORED, "weights": 1, "label": 0}

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

    A sample of several pictures takes the others from the images shown last: the 64 up to the end of its batch, of
    every fourth batch before it and into previous epochs. So, of a mosaic, one image alone is decoded anew.

    Attributes:
        dataset: the samples.
        compose: what a sample goes through.
        sizes: (height, width), one or several.
        batch_size: images in a batch.
        steps: batches in an epoch.
        max_boxes: rows of the targets.
        shuffle: whether epochs differ in their order.
        seed: of all chance.
        mosaic_epochs: the epoch from which on no sample is made of several pictures, or None.
        size_steps: batches of one size in a row.
        factors: (N,) how often an epoch shows each image, or None for once: see `kzoo.data.loading.sampling`.
        recent: the images that were shown last, decoded.
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
    factors: np.ndarray | None = field(default=None, compare=False, repr=False)
    recent: Recent = field(init=False, compare=False, repr=False)

    def __post_init__(self):
        # Those that may be partners, and what other threads read ahead.
        object.__setattr__(self, "recent", Recent(LANES * (_PARTNERS + self.batch_size)))

    def order(self, epoch: int) -> np.ndarray:
        """Positions in the dataset, in the order of an epoch."""
        if self.factors is not None:
            return _repeated(self.seed, epoch, self.factors.tobytes(), self.steps * self.batch_size)
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

    def batch(self, epoch: int, step: int, arrays: dict[str, np.ndarray] | None = None) -> Batch:
        """Batch `step` of `epoch`.

        Args:
            epoch: which.
            step: which.
            arrays: what to fill, as `layout` has it; new ones where None.
        """
        first = step * self.batch_size
        rows = self._rows(epoch, step)
        size = self.size(epoch, step)
        if arrays is None:
            layout = self.layout(len(rows), size)
            arrays = {name: np.empty(shape, dtype) for name, (shape, dtype) in layout.items()}
        images = arrays["images"]
        targets = {name: array for name, array in arrays.items() if name != "images"}
        for name, target in targets.items():
            target[...] = _BLANK[name]
        pool = self.partners(epoch, step)
        for row, index in enumerate(rows):
            image = images[row]
            sample = self._sample(epoch, int(index), first + row, size, pool, image)
            if sample.image is not image:
                image[...] = sample.image
            if self.classify:
                targets["label"][row] = sample.shares
            elif self.semantic:
                _fill_pixels(targets, row, sample)
            else:
                _fill_boxes(targets, row, sample)
        return images, targets

    @property
    def semantic(self) -> bool:
        """Whether the targets are semantic masks, not boxes."""
        return getattr(self.dataset, "semantic", False)

    @property
    def classify(self) -> bool:
        """Whether the targets are the classes of whole pictures."""
        return getattr(self.dataset, "classify", False)

    def count(self, epoch: int, step: int) -> int:
        """Images of a batch; the last one of an epoch may have fewer."""
        return len(self._rows(epoch, step))

    def layout(self, count: int, size: tuple[int, int]) -> dict[str, tuple[tuple[int, ...], type]]:
        """Shape and type of the arrays of a batch of `count` images: "images" and each target."""
        images = (count, *size, 3), np.uint8
        if self.classify:
            return {"images": images, "label": ((count, len(self.dataset.classes)), np.float32)}
        if self.semantic:
            targets, counted = {"mask": ((count, *size), np.uint8)}, (count, *size)
        else:
            counted = count, self.max_boxes
            targets = {"boxes": ((*counted, 4), np.float32), "labels": (counted, np.int32)}
        if self.compose.weighted:
            targets["weights"] = counted, np.float32
        return {"images": images, **targets}

    def sample(self, epoch: int, index: int, size: tuple[int, int], place: int | None = None) -> Sample:
        """One sample as an epoch shows it.

        Args:
            epoch: which.
            index: position in the dataset.
            size: (height, width) in pixels.
            place: the sample's in the epoch, from 0, which may show an image repeatedly; its first where None.
        """
        if place is None:
            place = int((self.order(epoch) == index).argmax())
        return self._sample(epoch, index, place, size, self.partners(epoch, place // self.batch_size))

    def _sample(self, epoch: int, index: int, place: int, size, pool, out=None) -> Sample:
        """Image `index`, shown at `place` of an epoch, its partners drawn from `pool`; drawn on `out` if it can be."""
        rng = np.random.default_rng((_SAMPLE, self.seed, epoch, place))
        partner: Callable | None = None
        if pool is not None:
            indices, places = pool

            # The partners' order in the rng is that of the calls, hence always the same.
            def partner():
                drawn = int(rng.integers(len(indices)))
                return self.read(int(indices[drawn]), int(places[drawn]))

        sample = self.compose(rng, self.read(index, epoch * self._shown + place), size, partner, out)
        if self.classify:
            return self._with_shares(sample)
        if self.semantic and sample.mask is None:
            raise ValueError(
                f"image {sample.id!r}: no semantic mask; see `kzoo data check`, mend it or skip it"
            )
        if not self.semantic and len(sample.boxes) > self.max_boxes:
            raise ValueError(
                f"image {sample.id!r}: {len(sample.boxes)} boxes, but max_boxes is {self.max_boxes}; "
                f"give max_boxes={len(sample.boxes)} or more, or leave it out"
            )
        given, what = (sample.pixel_weights, "pixels") if self.semantic else (sample.weights, "objects")
        if given is not None and not self.compose.weighted:
            raise ValueError(
                f"image {sample.id!r}: its {what} have weights, but no transform says that it makes such; "
                "set the attribute `weighted` of your own to True"
            )
        return sample

    def _with_shares(self, sample: Sample) -> Sample:
        """The sample, if it says how much of each class it shows."""
        wanted = (len(self.dataset.classes),)
        if sample.shares is None or sample.shares.shape != wanted:
            has = "none" if sample.shares is None else f"shape {sample.shares.shape}"
            raise ValueError(
                f"image {sample.id!r}: shares of classes: {has}; give {wanted}, one a class of the dataset"
            )
        return sample

    @property
    def _shown(self) -> int:
        """Samples in an epoch."""
        shown = self.steps * self.batch_size
        return shown if self.factors is not None else min(shown, len(self.dataset))

    def _rows(self, epoch: int, step: int) -> np.ndarray:
        """Positions in the dataset of what batch `step` of `epoch` shows."""
        return self.order(epoch)[step * self.batch_size : (step + 1) * self.batch_size]

    def partners(self, epoch: int, step: int) -> tuple[np.ndarray, np.ndarray] | None:
        """The images that batch `step` of `epoch` draws partners from.

        Returns:
            Their positions in the dataset, and when each was shown, in samples since the first of all; the latest
            last. None where no sample is made of several pictures.
        """
        if not self.compose.partners or (self.mosaic_epochs is not None and epoch >= self.mosaic_epochs):
            return None
        indices, places = [], []
        batch, missing = epoch * self.steps + step, _PARTNERS
        while missing > 0:
            shown, place = divmod(batch, self.steps)
            # Before the first epoch, as if it had been shown already.
            rows = self._rows(max(shown, 0), place)[-missing:]
            end = shown * self._shown + min((place + 1) * self.batch_size, self._shown)
            indices.append(rows)
            places.append(np.arange(end - len(rows), end))
            missing -= len(rows)
            batch -= LANES
        return np.concatenate(indices[::-1]), np.concatenate(places[::-1])

    def read(self, index: int, place: int) -> Sample:
        """As `decode`, but what was shown not long before `place` is not decoded again, and cannot be written to."""
        return self.recent.get(index, place, self.decode) if self.compose.partners else self.decode(index)

    def decode(self, index: int) -> Sample:
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
        return replace(sample, boxes=boxes)


def _fill_boxes(targets: dict[str, np.ndarray], row: int, sample: Sample) -> None:
    count = len(sample.boxes)
    targets["boxes"][row, :count] = sample.boxes
    targets["labels"][row, :count] = np.where(sample.difficult | sample.crowd, -1, sample.labels)
    if sample.weights is not None:
        targets["weights"][row, :count] = sample.weights


def _fill_pixels(targets: dict[str, np.ndarray], row: int, sample: Sample) -> None:
    targets["mask"][row] = sample.mask
    if sample.pixel_weights is not None:
        targets["weights"][row] = sample.pixel_weights


@functools.lru_cache(maxsize=8)
def _repeated(seed: int, epoch: int, factors: bytes, length: int) -> np.ndarray:
    return repeated_order(np.frombuffer(factors), length, np.random.default_rng((_ORDER, seed, epoch)))


@functools.lru_cache(maxsize=8)
def _permutation(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((_ORDER, seed, epoch)).permutation(count)
