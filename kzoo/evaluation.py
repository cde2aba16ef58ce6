"""Evaluating a detector on a dataset: read, resize, predict, carry back, measure."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo.augment.letterbox import Placement, check_resize, fit, fit_placement
from kzoo.data.image import image_size as size_of_file
from kzoo.detect import resize_of, to_detections
from kzoo.metrics.detection import DetectionEvaluator, DetectionMetrics
from kzoo.progress import track
from kzoo.structures import Detections

READERS = 4
STRIDE = 32  # of the coarsest feature maps
CACHE_BYTES = 512 * 2**20


@dataclass(frozen=True)
class _Truth:
    """What is known of an image, without its pixels."""

    id: str | int
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray | None


@dataclass(frozen=True)
class _Item:
    """An image as the network takes it, how it lies there, and what is to be found on it."""

    image: np.ndarray
    placement: Placement
    truth: _Truth


class Evaluator:
    """Evaluates detectors on one dataset, again and again: the images it has once read stay in memory if they fit.

    Args:
        dataset: a `kzoo.data.Dataset`, or whatever has `__len__`, `__getitem__ -> Sample` and `classes`.
        image_size: height and width in pixels the images are brought to.
        batch_size: how many a detector gets at once; one with a `batch_size` of its own gets that many.
        score_threshold: detections below it are left out.
        limit: evaluate the first so many images only.
        cache_bytes: keep the resized images if all of them take no more than this; 0 keeps none.
        resize: how images are brought to that size: "letterbox", "stretch" or "darknet"; the detector's own way
            where None.
        rectangular: batches of images of one shape, with as little grey around them as the stride allows: less to
            compute where photographs are not square. The network is compiled for each shape.

    Raises:
        ValueError: the dataset has no images, or there is no such way.

    Example:
        >>> evaluator = Evaluator(kzoo.data.load("street", split="val"), image_size=(416, 416))
        >>> evaluator(model).map50
    """

    def __init__(
        self,
        dataset,
        image_size: tuple[int, int],
        batch_size: int = 16,
        score_threshold: float = 0.001,
        limit: int | None = None,
        cache_bytes: int = CACHE_BYTES,
        resize: str | None = None,
        rectangular: bool = False,
    ):
        self.dataset = dataset
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.batch_size = batch_size
        self.score_threshold = score_threshold
        self.resize = None if resize is None else check_resize(resize)
        self.count = len(dataset) if limit is None else min(limit, len(dataset))
        if self.count < 1:
            raise ValueError(f"{_where(dataset)}: no images to evaluate on")
        self.rectangular = rectangular
        if rectangular and self.resize not in (None, "letterbox"):
            raise ValueError(f"rectangular: images are letterboxed then, not {self.resize!r}; leave one out")
        self._keeps = self.count * self.image_size[0] * self.image_size[1] * 3 <= cache_bytes
        self._kept: tuple[str, list[_Item]] = ("", [])

    def __call__(self, detector) -> DetectionMetrics:
        """Evaluates a `kzoo.detect.Detector`: a model or an exported file.

        Raises:
            ValueError: the detector knows other classes, finds no boxes at all, or an image cannot be read.
        """
        if getattr(detector, "task", "detect") != "detect":
            raise ValueError(f"a model for the task {detector.task!r} finds no boxes; evaluate a detector")
        to_label = _label_map(detector, self.dataset)
        size = getattr(detector, "batch_size", None) or self.batch_size
        evaluator = DetectionEvaluator(self.dataset.classes)
        if self.rectangular:
            _check_any_size(detector)
        items = self._items("letterbox" if self.rectangular else resize_of(detector, self.resize))
        for batch in track(_batches(items, size), "evaluating", total=-(-self.count // size)):
            for item, found in zip(batch, self._predict(detector, batch, size), strict=True):
                found.labels = to_label[found.labels]
                evaluator.update(item.truth, found)
        return evaluator.result()

    def _predict(self, detector, batch: Sequence[_Item], size: int) -> list[Detections]:
        """What is found on each image, in its own pixels; the detector gets `size` images, some of them empty."""
        images = np.zeros((size, *batch[0].image.shape), np.uint8)
        for position, item in enumerate(batch):
            images[position] = item.image
        outputs = {name: np.asarray(value) for name, value in detector.predict_on_batch(images).items()}
        return [
            to_detections(
                {name: value[position] for name, value in outputs.items()},
                item.placement,
                self.score_threshold,
            )
            for position, item in enumerate(batch)
        ]

    def _items(self, resize: str) -> Iterator[_Item]:
        """Images in the dataset's order, or by shape, read some way ahead."""
        if self._kept[0] == resize:
            yield from self._kept[1]
            return
        kept = []
        with ThreadPoolExecutor(READERS, thread_name_prefix="evaluate") as pool:
            waiting = deque()
            try:
                for index, shape in self._order():
                    waiting.append(pool.submit(self._read, index, shape, resize))
                    if len(waiting) > 2 * self.batch_size:
                        yield self._keep(waiting.popleft().result(), kept)
                while waiting:
                    yield self._keep(waiting.popleft().result(), kept)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        if self._keeps:
            self._kept = (resize, kept)

    def _keep(self, item: _Item, kept: list[_Item]) -> _Item:
        if self._keeps:
            kept.append(item)
        return item

    def _order(self) -> list[tuple[int, tuple[int, int]]]:
        """Positions in the dataset and the shapes that their images are brought to."""
        if not self.rectangular:
            return [(index, self.image_size) for index in range(self.count)]
        shapes = [_snug(self._size(index), self.image_size) for index in range(self.count)]
        return sorted(enumerate(shapes), key=lambda item: item[1])

    def _size(self, index: int) -> tuple[int, int]:
        if hasattr(self.dataset, "record"):
            return size_of_file(self.dataset.record(index).path)
        return self.dataset[index].size

    def _read(self, index: int, shape: tuple[int, int], resize: str) -> _Item:
        sample = self.dataset[index]
        image, placement = fit(sample.image, shape, resize)
        areas = self.dataset.record(index).areas if hasattr(self.dataset, "record") else None
        truth = _Truth(sample.id, sample.boxes, sample.labels, sample.difficult, sample.crowd, areas)
        return _Item(image, placement, truth)


def _batches(items: Iterator[_Item], size: int) -> Iterator[list[_Item]]:
    """Up to `size` items of one shape at a time."""
    for _, group in itertools.groupby(items, key=lambda item: item.image.shape):
        while batch := list(itertools.islice(group, size)):
            yield batch


def _snug(original: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The smallest multiples of the stride, up to `size`, that an image letterboxed into `size` takes."""
    scale = fit_placement(original, size, "letterbox").scale
    sides = (round(side * part) for side, part in zip(original, scale[::-1], strict=True))
    return tuple(min(most, -(-side // STRIDE) * STRIDE) for side, most in zip(sides, size, strict=True))


def _check_any_size(detector) -> None:
    network = getattr(detector, "network", None)
    if network is None or network.inputs[0].shape[1] is not None:
        raise ValueError(f"rectangular: {detector.name} takes one input size; leave rectangular out")


def evaluate(
    model,
    data,
    split: str | None = None,
    batch_size: int = 16,
    image_size: tuple[int, int] | None = None,
    score_threshold: float = 0.001,
    limit: int | None = None,
    skip_faulty: bool = False,
    resize: str | None = None,
    rectangular: bool = False,
) -> DetectionMetrics:
    """Measures a detector's average precision on a dataset, boxes compared in the photographs' own pixels.

    Args:
        model: a `kzoo.ZooModel`, what `kzoo.load` gives, or the path of a model, an export or a run folder.
        data: a dataset, or its path.
        split: the part of the dataset at that path, such as "test"; where None "val", or all if there is none.
        batch_size: how many images a detector gets at once; an export of a fixed batch gets that many.
        image_size: height and width in pixels to evaluate at; the model's own where None.
        score_threshold: detections below it are left out; average precision needs the low ones too.
        limit: evaluate the first so many images only.
        skip_faulty: leave out images and boxes that `kzoo data check` finds errors in. Else a box without area
            is an object nobody can find, and one that is not a box at all is an error.
        resize: how images are brought to that size: "letterbox", "stretch" or "darknet"; the model's own way
            where None.
        rectangular: batches of images of one shape: see `Evaluator`.

    Returns:
        `DetectionMetrics`: `.map`, `.map50`, `.coco`, `.voc_ap_all`, `.per_class`, `.to_dict()`.

    Raises:
        ValueError: the model knows other classes than the dataset has, or an image cannot be read.
        FileNotFoundError: there is no such model or dataset.

    Example:
        >>> kzoo.evaluate("runs/detect/street", "data/street", split="test").map50
    """
    if isinstance(data, (str, Path)):
        data = open_split(data, split)
    elif split is not None:
        raise ValueError(
            f"evaluate: split {split!r} of a dataset that is open already; open that split of it"
        )
    if skip_faulty:
        from kzoo.data.check import require_sound

        data = require_sound(data, skip_faulty=True)
    if isinstance(model, (str, Path)):
        from kzoo.predict import load as load_model

        model = load_model(model)
    image_size = model.image_size if image_size is None else image_size
    evaluator = Evaluator(data, image_size, batch_size, score_threshold, limit, 0, resize, rectangular)
    return evaluator(model)


def open_split(path: str | Path, split: str | None = None):
    """Opens a dataset to evaluate on.

    Args:
        path: as `kzoo.data.load` takes it.
        split: the part of it; where None the validation split, or all images if there is none.

    Raises:
        FileNotFoundError, ValueError: as `kzoo.data.load`.
    """
    from kzoo import data
    from kzoo.data.dataset import choose_split

    if split is None:
        # A dataset without a validation split is evaluated whole.
        with contextlib.suppress(ValueError):
            split = choose_split("val", data.splits(path), path)
    return data.load(path, split)


def _where(dataset) -> str:
    """What to call the dataset in an error."""
    split = getattr(dataset, "split", None)
    return str(getattr(dataset, "root", "the dataset")) + (f" ({split})" if split else "")


def _label_map(detector, dataset) -> np.ndarray:
    """(C,) the dataset's label of each of the model's; they may be in another order, but not be others.

    A model that was built without names takes the dataset's, if it has as many classes.

    Raises:
        ValueError: they are others.
    """
    names, classes = [str(name) for name in detector.names], [str(name) for name in dataset.classes]
    count = len(names) or getattr(getattr(detector, "head", None), "num_classes", len(classes))
    if names == classes or (not names and count == len(classes)):
        return np.arange(len(classes))
    if len(set(names)) == len(names) == len(classes) and set(names) == set(classes):
        return np.array([classes.index(name) for name in names])
    raise ValueError(
        f"the model's classes are not the dataset's: the model knows {_listed(names) if names else count}, "
        f"{_where(dataset)} has {_listed(classes)}; evaluate a model that was trained on these classes"
    )


def _listed(names: Sequence[str], most: int = 8) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} ({', '.join(names[:most])}{rest})"
