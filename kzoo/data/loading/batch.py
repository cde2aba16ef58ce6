"""One batch of one epoch: decode, augment, resize, pad to fixed shapes.

All chance is a function of (seed, epoch, place), where place is a sample's position in the epoch's order: whoever makes
a batch, and whenever, it is the same byte for byte; and those of any epoch can be made without making the ones before.
So batches can be made in any process, and a training can go on in the middle.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kzoo.augment.compose import Compose
from kzoo.data.loading.cache import Recent
from kzoo.data.loading.rows import BLANK, fill_objects, fill_pixels, fill_proposals
from kzoo.data.loading.sampling import repeated_order
from kzoo.structures import Sample

# What a stream of random numbers is for: the first number of its seed, so that streams of one purpose share nothing
# with those of another. It comes first because NumPy takes seeds for equal that differ in trailing zeros alone.
_ORDER, _SAMPLE, _SIZE = 1, 2, 3
SIZE_STEPS = 10  # Darknet, detector.c: with random=1 another input size every ten batches.
# Batches 0, 4, 8, ... are one lane, 1, 5, 9, ... the next, and a sample's partners (the other pictures of its mosaic
# or mixture) come from batches of its own lane. Of two or four worker processes, which make batches in turn, each has
# whole lanes to itself, so no image has to be decoded by two of them.
LANES = 4
_PARTNERS = 64  # Images of a lane that partners are drawn from: few enough to keep decoded.
_DEFAULT_MAX_BOXES = 100  # For datasets that cannot tell their box counts without decoding the images.

Batch = tuple[np.ndarray | dict[str, np.ndarray], dict[str, np.ndarray]]


def most_boxes(dataset) -> int:
    """Boxes in the fullest image, rounded up to a multiple of 8; from the annotations alone.

    Args:
        dataset: anything with `len`; one that has no `record(i)`, which tells boxes without decoding, gets 100.
    """
    if not hasattr(dataset, "record"):
        return _DEFAULT_MAX_BOXES
    most = max(len(dataset.record(i).boxes) for i in range(len(dataset)))
    return max(8, -(-most // 8) * 8)


@dataclass(frozen=True)
class BatchMaker:
    """Makes any batch of any epoch by itself; what workers share.

    A sample of several pictures takes the others, its partners, from the images shown last: the 64 up to the end of its
    batch, counted over its own batch, the fourth before it, the eighth before it and so on, into previous epochs. Those
    are still decoded, so that of a mosaic's four images one alone is decoded anew.

    Attributes:
        dataset: the samples: anything with `len`, `[i] -> Sample` and `classes`.
        compose: the transforms and the resizing that a sample goes through.
        sizes: the network's input sizes, each (height, width) in pixels; another one every `size_steps` batches.
        batch_size: images in a batch.
        steps: batches in an epoch.
        max_boxes: rows of the targets, M.
        shuffle: whether epochs differ in their order.
        seed: seeds order, augmentation and sizes; 0 or more.
        mosaic_epochs: the epoch from which on no sample is made of several pictures; None for never.
        size_steps: batches of one size in a row; 10 as in Darknet.
        mask_side: cells along each side of an object's mask in the targets, S; None for targets without masks.
        proposals: what gives an image's proposals, as `kzoo.data.batches` takes it; None for batches without.
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
    mask_side: int | None = None
    proposals: Callable[[np.ndarray], np.ndarray] | None = None
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
        """Height and width of a batch: in turns from the even and the odd positions of the shuffled sizes.

        A turn is `size_steps` batches of one size. As turns draw from the two halves by turns, neighbours differ. An
        epoch's first batch is a turn of its own, because Keras learns from the first two batches which sides vary.
        """
        if len(self.sizes) == 1:
            return self.sizes[0]
        turns = 1 + -(-(self.steps - 1) // self.size_steps)  # in an epoch, rounded up
        turn = epoch * turns + -(-step // self.size_steps)  # counted from the first epoch on
        shuffled = np.random.default_rng((_SIZE, self.seed)).permutation(len(self.sizes))
        half = shuffled[turn % 2 :: 2]
        rng = np.random.default_rng((_SIZE, self.seed, turn + 1))
        return self.sizes[half[rng.integers(len(half))]]

    def batch(self, epoch: int, step: int, arrays: dict[str, np.ndarray] | None = None) -> Batch:
        """One batch, with targets of fixed shapes.

        Args:
            epoch: the number of the epoch, from 0.
            step: the number of the batch in that epoch, from 0 to `steps` - 1.
            arrays: the arrays to fill, by the names and shapes of `layout`; new ones where None.

        Returns:
            Images (B, H, W, 3) uint8 RGB, or by name "images" and "proposals" (B, P, 4) float32. Targets: "boxes"
            (B, M, 4) float32 xyxy input pixels and "labels" (B, M) int32, and "masks" (B, M, S, S) uint8 where they are
            asked for, and of roads "mask" (B, H, W) uint8; or "mask" alone, or "label" (B, C) float32; "weights"
            (B, M) or (B, H, W) float32 where a transform weighs objects or pixels.
        """
        first = step * self.batch_size
        rows = self._rows(epoch, step)
        size = self.size(epoch, step)
        if arrays is None:
            layout = self.layout(len(rows), size)
            arrays = {name: np.empty(shape, dtype) for name, (shape, dtype) in layout.items()}
        images = arrays["images"]
        for name, array in arrays.items():
            if name != "images":
                array[...] = BLANK[name]
        inputs, targets = inputs_and_targets(arrays)
        pool = self.partners(epoch, step)
        for row, index in enumerate(rows):
            image = images[row]  # (H, W, 3)
            # Most transforms can draw right into the batch, which saves copying the picture; others give an array anew.
            sample = self._sample(epoch, int(index), first + row, size, pool, image)
            if sample.image is not image:
                image[...] = sample.image
            if self.proposals is not None:
                fill_proposals(arrays["proposals"][row], sample)
            if self.classify:
                targets["label"][row] = sample.shares
            elif self.semantic:
                fill_pixels(targets, row, sample)
            else:
                fill_objects(targets, row, sample)
            if self.roads:
                targets["mask"][row] = sample.mask
        return inputs, targets

    @property
    def semantic(self) -> bool:
        """Whether the targets are semantic masks, not boxes."""
        return getattr(self.dataset, "semantic", False)

    @property
    def roads(self) -> bool:
        """Whether the targets are boxes and a mask of what is drivable and what is of a lane's line."""
        return getattr(self.dataset, "roads", False)

    @property
    def classify(self) -> bool:
        """Whether the targets are the classes of whole pictures."""
        return getattr(self.dataset, "classify", False)

    def count(self, epoch: int, step: int) -> int:
        """Images of a batch; the last one of an epoch may have fewer."""
        return len(self._rows(epoch, step))

    def layout(self, count: int, size: tuple[int, int]) -> dict[str, tuple[tuple[int, ...], type]]:
        """Shape and type of the arrays of a batch by name: "images" and each target.

        Args:
            count: images in the batch, B.
            size: (height, width) of the network's input in pixels.
        """
        images = (count, *size, 3), np.uint8
        if self.classify:
            return {"images": images, "label": ((count, len(self.dataset.classes)), np.float32)}
        if self.semantic:
            weighed = (count, *size)  # (B, H, W): each pixel
            targets = {"mask": (weighed, np.uint8)}
        else:
            weighed = (count, self.max_boxes)  # (B, M): each object
            targets = {"boxes": ((*weighed, 4), np.float32), "labels": (weighed, np.int32)}
            if self.roads:
                targets["mask"] = (count, *size), np.uint8
            if self.mask_side is not None:
                targets["masks"] = (*weighed, self.mask_side, self.mask_side), np.uint8
        if self.compose.weighted:
            targets["weights"] = weighed, np.float32
        if self.proposals is not None:
            targets["proposals"] = (count, self.proposals.count, 4), np.float32
        return {"images": images, **targets}

    def sample(self, epoch: int, index: int, size: tuple[int, int], place: int | None = None) -> Sample:
        """One sample as an epoch shows it.

        Args:
            epoch: the number of the epoch, from 0.
            index: the image's position in the dataset, from 0.
            size: (height, width) of the network's input in pixels.
            place: the sample's position in the epoch's order, from 0, which may hold an image repeatedly; the image's
                first where None.
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

            # Transforms draw from the same generator as this, each in its turn: so partners are the same whoever draws.
            def partner():
                drawn = int(rng.integers(len(indices)))
                return self.read(int(indices[drawn]), int(places[drawn]))

        sample = self.compose(rng, self.read(index, epoch * self._shown + place), size, partner, out)
        if self.classify:
            return self._with_shares(sample)
        if (self.semantic or self.roads) and sample.mask is None:
            raise ValueError(
                f"image {sample.id!r}: no semantic mask; see `kzoo data check`, mend it or skip it"
            )
        if not self.semantic and len(sample.boxes) > self.max_boxes:
            raise ValueError(
                f"image {sample.id!r}: {len(sample.boxes)} boxes, but max_boxes is {self.max_boxes}; "
                f"give max_boxes={len(sample.boxes)} or more, or leave it out"
            )
        if self.mask_side is not None and sample.masks is None and len(sample.boxes):
            raise ValueError(
                f"image {sample.id!r}: objects without masks, which mask_side={self.mask_side} asks for; open the "
                "dataset with task='instance'"
            )
        if self.proposals is not None and sample.proposals is None:
            raise ValueError(
                f"image {sample.id!r}: a transform has lost its proposals; let yours hand on `Sample.proposals`, moved "
                "like boxes"
            )
        weights, what = (sample.pixel_weights, "pixels") if self.semantic else (sample.weights, "objects")
        if weights is not None and not self.compose.weighted:
            raise ValueError(
                f"image {sample.id!r}: its {what} have weights, but no transform says that it makes such; "
                "set the attribute `weighted` of your own to True"
            )
        return sample

    def _with_shares(self, sample: Sample) -> Sample:
        """The sample, if it says how much of each class it shows."""
        shape = (len(self.dataset.classes),)
        if sample.shares is None or sample.shares.shape != shape:
            has = "none" if sample.shares is None else f"shape {sample.shares.shape}"
            raise ValueError(
                f"image {sample.id!r}: shares of classes: {has}; give {shape}, one a class of the dataset"
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
        """The images that batch `step` of `epoch` draws partners from: the last 64 of its lane, with those of itself.

        Returns:
            (64,) their positions in the dataset, and (64,) when each was shown, counted in samples since the first of
            all; the latest last. None where no sample is made of several pictures.
        """
        if not self.compose.partners or (self.mosaic_epochs is not None and epoch >= self.mosaic_epochs):
            return None
        indices, places = [], []
        batch, missing = epoch * self.steps + step, _PARTNERS  # batches are counted through all epochs
        while missing > 0:  # back along the lane, from this batch on
            batch_epoch, batch_step = divmod(batch, self.steps)
            # Before the first epoch, which has none before it, as if it had been shown already. The places there are
            # below 0: what is longest ago is the first that `recent` forgets.
            rows = self._rows(max(batch_epoch, 0), batch_step)[-missing:]
            end = batch_epoch * self._shown + min((batch_step + 1) * self.batch_size, self._shown)
            indices.append(rows)
            places.append(np.arange(end - len(rows), end))
            missing -= len(rows)
            batch -= LANES
        return np.concatenate(indices[::-1]), np.concatenate(places[::-1])

    def read(self, index: int, place: int) -> Sample:
        """As `decode`, but what was shown not long before `place` is not decoded again, and cannot be written to."""
        return self.recent.get(index, place, self.decode) if self.compose.partners else self.decode(index)

    def decode(self, index: int) -> Sample:
        """Sample `index` of the dataset, its boxes clipped to the image, with its proposals where they are asked for.

        Raises:
            ValueError: a box is not finite or has no area inside the image, or its label is no class.
        """
        sample = self.dataset[index]
        height, width = sample.size
        boxes = np.clip(sample.boxes, 0, (width, height, width, height))  # (N, 4)
        # As a negation, because comparisons with NaN are false; and of the boxes as they were, because infinities are
        # no more infinite once clipped.
        bad = ~((boxes[:, 2:] > boxes[:, :2]).all(1) & np.isfinite(sample.boxes).all(1))  # (N,)
        bad |= (sample.labels < 0) | (sample.labels >= len(self.dataset.classes))
        if bad.any():
            i = int(bad.argmax())
            box = ", ".join(f"{v:g}" for v in sample.boxes[i])
            raise ValueError(
                f"image {sample.id!r}: box {i} ({box}) with label {sample.labels[i]} cannot be trained on; "
                "see `kzoo data check`, mend it or skip it"
            )
        proposals = sample.proposals
        if self.proposals is not None and proposals is None:
            proposals = self.proposals(sample.image)
        return replace(sample, boxes=boxes, proposals=proposals)


def inputs_and_targets(arrays: dict[str, np.ndarray]) -> Batch:
    """A batch of these arrays: images alone, or images and proposals by name; and the targets."""
    targets = dict(arrays)
    inputs = {name: targets.pop(name) for name in ("images", "proposals") if name in targets}
    return inputs if len(inputs) > 1 else inputs["images"], targets


# Orders are kept: every sample of an epoch looks at its own, and at those of the epochs its partners are of.
@functools.lru_cache(maxsize=8)
def _repeated(seed: int, epoch: int, factors: bytes, length: int) -> np.ndarray:
    return repeated_order(np.frombuffer(factors), length, np.random.default_rng((_ORDER, seed, epoch)))


@functools.lru_cache(maxsize=8)
def _permutation(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((_ORDER, seed, epoch)).permutation(count)
