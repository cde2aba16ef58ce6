"""Batches for `fit`, made ahead in threads or processes by Grain."""

from __future__ import annotations

import atexit
import operator
import weakref
from collections.abc import Sequence

import cv2
import numpy as np
from absl import flags
from absl import logging as absl_logging

from kzoo.augment.compose import Augment, Compose
from kzoo.data.batch import SIZE_STEPS, Batch, BatchMaker, most_boxes
from kzoo.data.cache import cached
from kzoo.data.sampling import repeat_factors


def _import_grain():
    """Grain, without its warning on stderr that the profiler of JAX is missing."""
    verbosity = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.ERROR)
    try:
        import grain
    finally:
        absl_logging.set_verbosity(verbosity)
    return grain


grain = _import_grain()

_MANY_EPOCHS = 10**6  # How long `repeat` goes on; Grain wants a length.


def steps_per_epoch(count: int, batch_size: int, drop_remainder: bool = True) -> int:
    """How many batches an epoch of `count` images has.

    Args:
        count: images in the dataset.
        batch_size: images in a batch.
        drop_remainder: whether a last, smaller batch is left out; if it is the only one, it stays.
    """
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
) -> Batches:
    """Batches of a dataset, for `model.fit`.

    Args:
        dataset: anything with `len`, `[i] -> Sample` and `classes`.
        image_size: (height, width) of the network's input in pixels, or one number for a square; a list of
            sizes trains at all of them, another one every `size_steps` batches.
        batch_size: images in a batch.
        augment: "none", "light", "mosaic", "yolov4", or a list of transforms and their names: see `kzoo.augment`.
        shuffle: whether every epoch has an order of its own.
        seed: of order, augmentation and sizes; 0 or more.
        workers: threads or processes that make batches ahead; 0 makes each when it is asked for.
        worker_kind: "thread", or "process" (where Python-side transforms hold the interpreter lock; a script
            that uses it needs `if __name__ == "__main__":`).
        max_boxes: rows of the targets; as many as the fullest image, or mixture of images, can need where None.
        repeat: whether the batches go on without end, epoch after epoch; `fit` then needs
            `steps_per_epoch=len(batches)`. If not, each pass over them is the next epoch.
        drop_remainder: whether the last batch is left out if it is smaller; as `shuffle` where None.
        start_epoch: the first epoch: what a resumed training passes.
        mosaic_epochs: from this epoch on no sample is made of several pictures (mosaics, CutMix, MixUp,
            CopyPaste), so that training ends on whole ones.
        size_steps: batches of one size in a row.
        resize: how photographs become inputs: "letterbox", "stretch" or "darknet", see `kzoo.augment.fit`.
        cache: "memory" keeps all decoded images, if there is room for them; "disk" and "disk:FOLDER" keep them as
            files, see `kzoo.data.cache.cached`. Threads share what is in memory, processes each have their own.
        balance: classes on a smaller share of the images than this are shown more often: see
            `kzoo.data.sampling.repeat_factors`. An epoch is longer by that. None shows each image once.

    Returns:
        A Grain dataset of `(images, targets)`: images (B, H, W, 3) uint8 RGB; targets
        `{"boxes": (B, M, 4) float32 xyxy input pixels, "labels": (B, M) int32}`. A row with label -1 is
        padding where its box is all zeros, and a region to be ignored, a difficult or crowd object, where not.
        With a transform that weights objects, such as "mixup", there is "weights" (B, M) float32 too, in every
        batch: 1 where nothing else is known, also in padding.

    Raises:
        ValueError: an argument is wrong, the dataset is empty, or the cache has no room. While batches are made:
            an image cannot be read, a box or label is faulty, or there are more than `max_boxes`; the message
            names the image.
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
        factors=factors,
    )
    return Batches(maker, workers, worker_kind, repeat, start_epoch)


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


class _Span:
    """Batches from one epoch's first to another's last, as Grain reads a source."""

    def __init__(self, maker: BatchMaker, first_epoch: int, epochs: int):
        self.maker = maker
        self.first_epoch = first_epoch
        self.epochs = epochs

    def __len__(self) -> int:
        return self.epochs * self.maker.steps

    def __getitem__(self, position: int) -> Batch:
        epoch, step = divmod(position, self.maker.steps)
        return self.maker.batch(self.first_epoch + epoch, step)


class Batches(grain.IterDataset):
    """What `batches` returns: a Grain dataset that knows its length and counts its epochs.

    Attributes:
        maker: makes single batches: `batches.maker.batch(epoch, step)`.
        epoch: the epoch that the next pass shows.
        error: what stopped the last pass, or None. TensorFlow wraps an error of the input in one of its own,
            with a page of traceback; this is the one underneath.
    """

    def __init__(self, maker: BatchMaker, workers: int, worker_kind: str, repeat: bool, start_epoch: int):
        super().__init__()
        self.maker = maker
        self.workers = workers
        self.worker_kind = worker_kind
        self.repeat = repeat
        self.epoch = start_epoch
        self.error: Exception | None = None

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self.maker.steps

    @property
    def max_boxes(self) -> int:
        """Rows of the targets."""
        return self.maker.max_boxes

    def __iter__(self) -> grain.DatasetIterator:
        span = _Span(self.maker, self.epoch, _MANY_EPOCHS if self.repeat else 1)
        source = grain.MapDataset.source(span)
        if self.workers and self.worker_kind == "process":
            if not flags.FLAGS.is_parsed():
                # Grain's processes read absl's flags, which only absl's own `app.run` would have parsed.
                flags.FLAGS.mark_as_parsed()
            stream = source.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
            options = grain.MultiprocessingOptions(num_workers=self.workers, per_worker_buffer_size=2)
            stream = stream.mp_prefetch(options, worker_init_fn=_start_worker)
        else:
            options = grain.ReadOptions(num_threads=self.workers, prefetch_buffer_size=2 * self.workers)
            stream = source.to_iter_dataset(options)
        return _Pass(self, iter(stream))


class _Pass(grain.DatasetIterator):
    """One pass over `Batches`: moves their epoch on once it has shown all of it, and keeps what stopped it.

    The epoch is not moved on at the end of the iteration, because Keras, once it knows the length, does not
    go there; nor at its start, because Keras takes a look at two batches before the first epoch.
    """

    def __init__(self, owner: Batches, stream: grain.DatasetIterator):
        super().__init__(stream)
        self._owner = owner
        self._epoch = owner.epoch
        self._shown = 0
        _OPEN.add(self)

    def __next__(self) -> Batch:
        if not self._parents:
            raise ValueError("batches: this pass was closed; start another with iter(batches)")
        try:
            batch = next(self._parent)
        except StopIteration:
            raise
        except Exception as error:
            self._owner.error = error
            self.close()
            raise
        self._shown += 1
        if self._shown == len(self._owner) and not self._owner.repeat:
            self._owner.epoch = self._epoch + 1
        if self._owner.worker_kind == "process":
            images, targets = batch
            # Out of memory shared with the workers, which would complain if it outlived them.
            batch = np.array(images), {name: np.array(value) for name, value in targets.items()}
        return batch

    def get_state(self) -> dict:
        return {"epoch": self._epoch, "shown": self._shown, "stream": self._parent.get_state()}

    def set_state(self, state: dict) -> None:
        self._epoch, self._shown = state["epoch"], state["shown"]
        self._parent.set_state(state["stream"])

    def close(self) -> None:
        """Stops the workers."""
        super().close()
        self._parents = ()


_OPEN: weakref.WeakSet[_Pass] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Stops workers while there still is an interpreter: Keras keeps its iterators to the very end."""
    for one in list(_OPEN):
        one.close()


def _start_worker(index: int, count: int) -> None:
    """In every worker process: one thread each, as there is one process a core."""
    cv2.setNumThreads(0)
