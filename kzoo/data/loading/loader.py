"""Batches for `fit`, made ahead in threads or processes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

import numpy as np

from kzoo.augment.compose import Augment, Compose
from kzoo.data.loading.batch import SIZE_STEPS, BatchMaker, most_boxes
from kzoo.data.loading.cache import cached
from kzoo.data.loading.passes import Batches
from kzoo.data.loading.sampling import repeat_factors
from kzoo.structures.cells import MASK_SIDE

_MOST_CELLS = 512  # along a side: a quarter of a megabyte an object


def steps_per_epoch(count: int, batch_size: int, drop_remainder: bool = True) -> int:
    """How many batches an epoch of `count` images has.

    Args:
        count: images in the dataset.
        batch_size: images in a batch.
        drop_remainder: whether a last, smaller batch is left out; if it is the only one, it stays.
    """
    # -(-a // b) is a / b rounded up, in whole numbers.
    return max(1, count // batch_size) if drop_remainder else -(-count // batch_size)


def batches(
    dataset,
    image_size: int | tuple[int, int] | Sequence[tuple[int, int]],
    batch_size: int,
    augment: Augment = None,
    *,
    shuffle: bool = True,
    seed: int = 0,
    workers: int = 0,
    worker_kind: str = "thread",
    max_boxes: int | None = None,
    repeat: bool = False,
    drop_remainder: bool | None = None,
    start_epoch: int = 0,
    mosaic_epochs: int | None = None,
    size_steps: int = SIZE_STEPS,
    resize: str = "letterbox",
    cache: str | None = None,
    balance: float | None = None,
    mask_side: int | None = None,
    proposals: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Batches:
    """Batches of a dataset, for `model.fit`.

    Args:
        dataset: anything with `len`, `[i] -> Sample` and `classes`.
        image_size: (height, width) of the network's input in pixels, or one number for a square; a list of
            sizes trains at all of them, another one every `size_steps` batches.
        batch_size: images in a batch.
        augment: the name of a preset, such as "light", or a list of transforms and their names (see
            `kzoo.augment.transforms`); None is "none".
        shuffle: whether every epoch has an order of its own.
        seed: seeds order, augmentation and sizes, 0 or more; the same seed gives the same batches, byte for byte.
        workers: threads or processes that make batches ahead; 0 makes each when it is asked for.
        worker_kind: "thread", or "process": two threads give little more than one, as most of the work holds the
            interpreter's lock, and two processes twice as much; each takes half a second to start and about 400 MB.
            A script that defines the dataset or a transform itself then needs `if __name__ == "__main__":`.
        max_boxes: rows of the targets; as many as the fullest image, or mixture of images, can need where None.
        repeat: whether the batches go on without end, epoch after epoch; `fit` then needs
            `steps_per_epoch=len(batches)`. If not, each pass over them is the next epoch.
        drop_remainder: whether the last batch is left out if it is smaller; as `shuffle` where None.
        start_epoch: the first epoch: what a resumed training passes.
        mosaic_epochs: number of the epochs, from the first, in which samples may be made of several pictures (mosaics,
            CutMix, MixUp, CopyPaste), so that training ends on whole ones; all where None.
        size_steps: batches of one size in a row, where there are several sizes; 10 as in Darknet.
        resize: the name of the way in which photographs become inputs, one of `kzoo.augment.RESIZES`.
        cache: "memory" keeps all decoded images, if there is room for them; "disk" and "disk:FOLDER" keep them as
            files, see `kzoo.data.loading.cache.cached`. Threads share what is in memory, processes each have their own.
        balance: classes on a smaller share of the images than this are shown more often: see
            `kzoo.data.loading.sampling.repeat_factors`. An epoch is longer by that. None shows each image once.
        mask_side: cells along each side of an object's mask in the targets, 1 to 512, see
            `kzoo.structures.cells.crop_masks`. Where None `kzoo.structures.cells.MASK_SIDE` of a dataset that is open
            for the task "instance"; targets of others have no masks.
        proposals: what gives the proposals (N, 4) xyxy pixels, best first, of an image (H, W, 3) uint8 as it is read,
            and has an attribute `count`, the most an image: a `kzoo.proposals.Proposer`, or a callable of your own.
            Samples that have `proposals` of their own keep them. They move with the pixels. None for batches of images
            alone.

    Returns:
        A Grain dataset of `(images, targets)`: images (B, H, W, 3) uint8 RGB; targets
        `{"boxes": (B, M, 4) float32 xyxy input pixels, "labels": (B, M) int32}`. A row with label -1 is
        padding where its box is all zeros, and a region to be ignored, a difficult or crowd object, where not.
        With proposals the images come as `{"images": ..., "proposals": (B, P, 4) float32 xyxy input pixels}`, zeros
        where there are fewer.
        With masks there is "masks" (B, M, S, S) uint8, each cut out by its box, 255 where the object covers all of a
        cell; an object of whose mask no pixel is left is a region to be ignored, too.
        With a transform that weights objects, such as "mixup", there is "weights" (B, M) float32 too, in every
        batch: 1 where nothing else is known, also in padding.

    Raises:
        ValueError: an argument is wrong, the dataset is empty, or the cache has no room. While batches are made:
            an image cannot be read, a box or label is faulty, or there are more than `max_boxes`; the message
            names the image.

    Example:
        >>> dataset = kzoo.data.load("shapes:10:128")
        >>> train = batches(dataset, image_size=128, batch_size=4, augment="light")
        >>> images, targets = next(iter(train))
        >>> len(train), images.shape, targets["boxes"].shape
        (2, (4, 128, 128, 3), (4, 8, 4))
    """
    count = len(dataset)
    if count == 0:
        raise ValueError(f"{getattr(dataset, 'root', 'dataset')}: no images to make batches of")
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("workers", workers, 0),
        ("start_epoch", start_epoch, 0),
        ("seed", seed, 0),
        ("size_steps", size_steps, 1),
    ):
        if value < least:
            raise ValueError(f"batches: {name} is {value}; give {least} or more")
    if worker_kind not in ("thread", "process"):
        raise ValueError(f"batches: unknown worker_kind {worker_kind!r}; give 'thread' or 'process'")
    factors = None
    if balance is not None:
        if not shuffle:
            raise ValueError(
                f"batches: balance={balance} draws the images of an epoch; leave shuffle=False out"
            )
        factors = repeat_factors(dataset, balance)
        count = round(factors.sum())
    compose = Compose(augment, resize)
    mask_side = _mask_side(dataset, mask_side)
    drop = shuffle if drop_remainder is None else drop_remainder
    maker = BatchMaker(
        dataset=cached(dataset, cache, workers if worker_kind == "process" and workers else 1),
        compose=compose,
        sizes=_sizes(image_size),
        batch_size=batch_size,
        steps=steps_per_epoch(count, batch_size, drop),
        max_boxes=max_boxes or most_boxes(dataset) * compose.pictures,
        shuffle=shuffle,
        seed=seed,
        mosaic_epochs=mosaic_epochs,
        size_steps=size_steps,
        mask_side=mask_side,
        proposals=proposals,
        factors=factors,
    )
    return Batches(maker, workers, worker_kind, repeat, start_epoch)


def _mask_side(dataset, mask_side: int | None) -> int | None:
    """Cells along each side of the masks in the targets; None for targets without masks."""
    if mask_side is None:
        return MASK_SIDE if getattr(dataset, "instances", False) else None
    if getattr(dataset, "semantic", False) or getattr(dataset, "classify", False):
        raise ValueError(
            f"batches: mask_side={mask_side} is for instance masks, and targets of this dataset are others; leave it "
            "out, or open it with task='instance'"
        )
    if not 1 <= operator.index(mask_side) <= _MOST_CELLS:
        raise ValueError(f"batches: mask_side is {mask_side}; give 1 to {_MOST_CELLS}")
    return operator.index(mask_side)


def _sizes(image_size) -> tuple[tuple[int, int], ...]:
    """One or several (height, width), from one side, one pair or a list of pairs."""
    if isinstance(image_size, (int, np.integer)):
        image_size = (image_size, image_size)
    if all(isinstance(side, (int, np.integer)) for side in image_size):
        image_size = [image_size]
    sizes = tuple(tuple(map(operator.index, size)) for size in image_size)
    if any(len(size) != 2 or min(size) < 1 for size in sizes):
        raise ValueError(
            f"batches: image_size {image_size}; give (height, width) in pixels, or a list of such"
        )
    # Keras takes a side that is the same in its first two batches for constant.
    if any(len(set(sides)) not in (1, len(sizes)) for sides in zip(*sizes, strict=True)):
        raise ValueError(
            f"batches: sizes {list(sizes)} share some heights or widths; let all differ, or none"
        )
    return sizes
