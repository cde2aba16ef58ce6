"""Evaluating a detector on a dataset: read, resize, predict, carry back, measure."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kzoo.augment.letterbox import RESIZES, Placement, check_resize, fit, fit_placement
from kzoo.data.relabel import where
from kzoo.evaluation.datasets import image_count, read_ahead, shared_classes
from kzoo.inference.decoded import BOX_TASKS, kept, takes_fractions
from kzoo.inference.detect import masks_aligned, resize_of
from kzoo.inference.roads import road_maps
from kzoo.metrics import DetectionEvaluator, DetectionMetrics, ErrorEvaluator
from kzoo.metrics.roads import RoadEvaluator
from kzoo.sources import chunks
from kzoo.structures.cells import pasted
from kzoo.structures.runs import compress_mask
from kzoo.system.progress import track

STRIDE = 32  # of the coarsest feature maps
CACHE_BYTES = 512 * 2**20


@dataclass(frozen=True)
class _Truth:
    """What is known of an image, without its pixels."""

    index: int  # in the dataset
    id: str | int
    boxes: np.ndarray  # (N, 4) xyxy pixels of the original image
    labels: np.ndarray  # (N,)
    difficult: np.ndarray  # (N,) bool
    crowd: np.ndarray  # (N,) bool
    areas: np.ndarray | None  # (N,) as the annotation has them, which COCO sorts objects by
    xywh: np.ndarray | None  # (N, 4) as the annotation has them, without rounding on the way to xyxy
    masks: list[dict] | None = None  # of each object as run lengths
    roads: np.ndarray | None = None  # (H, W) bits, see `kzoo.structures.roads`


@dataclass(frozen=True)
class _Found:
    """What is found on an image, in its own pixels."""

    boxes: np.ndarray  # (N, 4) xyxy
    scores: np.ndarray  # (N,)
    labels: np.ndarray  # (N,)
    masks: list[dict] | None = None  # of each detection as run lengths
    roads: dict[str, np.ndarray] | None = None  # maps (H, W) bool by name


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
        batch_size: number of images that a detector gets at once, 16 by default; one with a `batch_size` of its own
            gets that many.
        score_threshold: score below which detections are left out, 0 to 1; 0.001 by default.
        limit: number of images to evaluate on, the first ones; all where None.
        cache_bytes: keep the resized images if all of them take no more than this; 0 keeps none.
        resize: how images are brought to that size: one of `kzoo.augment.RESIZES`; the detector's own way where None.
        rectangular: batches of images of one shape, with as little grey around them as the stride allows: less to
            compute where photographs are not square. The network is compiled for each shape.
        errors: whether the figures have `errors`, too: what the detector gets wrong.

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
        errors: bool = False,
    ):
        self.dataset = dataset
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.batch_size = batch_size
        self.score_threshold = score_threshold
        self.resize = None if resize is None else check_resize(resize)
        self.count = image_count(dataset, limit)
        self.rectangular = rectangular
        self.errors = errors
        if self.resize is not None:
            self._check_shapes(self.resize)
        self._cache_bytes = cache_bytes
        self._kept: tuple[tuple, list[_Item]] = ((), [])

    def __call__(self, detector) -> DetectionMetrics:
        """Evaluates a `kzoo.inference.detect.Detector`: a model or an exported file.

        Raises:
            ValueError: the detector knows other classes, finds no boxes at all, or an image cannot be read.
        """
        if getattr(detector, "task", "detect") not in BOX_TASKS:
            raise ValueError(f"a model for the task {detector.task!r} finds no boxes; evaluate a detector")
        classes = shared_classes(detector, self.dataset)
        size = getattr(detector, "batch_size", None) or self.batch_size
        evaluator = (ErrorEvaluator if self.errors else DetectionEvaluator)(classes.names)
        roads = self._road_evaluator(detector)
        self.check(detector)
        items = self._items(resize_of(detector, self.resize), takes_fractions(detector))
        for batch in track(_batches(items, size), "evaluating", total=-(-self.count // size)):
            for item, found in zip(batch, self._predict(detector, batch, size), strict=True):
                truth = dataclasses.replace(item.truth, labels=classes.labels(item.truth.labels))
                evaluator.update(truth, dataclasses.replace(found, labels=classes.of_model[found.labels]))
                if roads is not None:
                    roads.update(truth.roads, **found.roads)
        metrics = evaluator.result()
        return metrics if roads is None else dataclasses.replace(metrics, roads=roads.result())

    def _road_evaluator(self, detector) -> RoadEvaluator | None:
        """What compares maps of roads, of a model that finds such.

        Raises:
            ValueError: the dataset has none to compare with.
        """
        if getattr(detector, "task", "detect") != "drive":
            return None
        if not getattr(self.dataset, "roads", False):
            raise ValueError(
                f"{where(self.dataset)}: no masks of roads to compare with; open it with task='drive'"
            )
        return RoadEvaluator()

    def check(self, detector) -> None:
        """Refuses a detector that cannot take its images as they are wanted, before any is read.

        Raises:
            ValueError: it takes one input size, or images of one shape, and batches of several are wanted.
        """
        if self.rectangular:
            check_any_size(detector)
            self._check_shapes(resize_of(detector, self.resize))

    def _check_shapes(self, resize: str) -> None:
        """Refuses batches of images of one shape where resizing gives all images that shape."""
        if self.rectangular and not RESIZES[resize].keeps_aspect:
            raise ValueError(
                f"rectangular: images keep their aspect then, and resize={resize!r} does not; leave rectangular out, "
                "or give resize=letterbox"
            )

    def _predict(self, detector, batch: Sequence[_Item], size: int) -> Iterator[_Found]:
        """What is found on each image, in its own pixels; the detector gets `size` images, some of them empty."""
        images = np.zeros((size, *batch[0].image.shape), batch[0].image.dtype)
        for position, item in enumerate(batch):
            images[position] = item.image
        # boxes (size, M, 4), scores (size, M), labels (size, M)
        outputs = {name: np.asarray(value) for name, value in detector.predict_on_batch(images).items()}
        aligned = masks_aligned(detector)
        for position, item in enumerate(batch):
            result = kept({name: value[position] for name, value in outputs.items()}, self.score_threshold)
            boxes, masks = item.placement.to_original(result["boxes"]), None
            if "masks" in result:
                around = item.placement.to_original(result["boxes"], clip=False)
                whole = pasted(result["masks"], around, item.placement.original, aligned=aligned)
                masks = [compress_mask(mask) for mask in whole]  # one at a time: (H, W) each
            whole = {name: outputs[name][position] for name in outputs}
            roads = road_maps(whole, item.placement)
            yield _Found(boxes, result["scores"], result["labels"], masks, roads)

    def _items(self, resize: str, exact: bool) -> Iterator[_Item]:
        """Images in the dataset's order, or by shape, read some way ahead."""
        exact = exact and RESIZES[resize].fractional
        if self._kept[0] == (resize, exact):
            yield from self._kept[1]
            return
        kept = []
        # Three channels, float32 for detectors that see what lies between whole grey levels, or else uint8.
        keeps = self.count * math.prod(self.image_size) * (12 if exact else 3) <= self._cache_bytes
        read = functools.partial(self._read, resize=resize, exact=exact)
        for item in read_ahead(self._order(resize), read, 2 * self.batch_size):
            if keeps:
                kept.append(item)
            yield item
        if keeps:
            self._kept = ((resize, exact), kept)

    def _order(self, resize: str) -> list[tuple[int, tuple[int, int]]]:
        """Positions in the dataset and the shapes that their images are brought to."""
        if not self.rectangular:
            return [(index, self.image_size) for index in range(self.count)]
        shapes = [_snug(self._size(index), self.image_size, resize) for index in range(self.count)]
        return sorted(enumerate(shapes), key=lambda item: item[1])

    def _size(self, index: int) -> tuple[int, int]:
        if hasattr(self.dataset, "size"):
            return self.dataset.size(index)
        return self.dataset[index].size

    def _read(self, place: tuple[int, tuple[int, int]], resize: str, exact: bool) -> _Item:
        """The image at a position in the dataset, brought to a shape, and what is known of it."""
        index, shape = place
        sample = self.dataset[index]
        image, placement = fit(sample.image, shape, resize, exact)
        areas = xywh = None
        if hasattr(self.dataset, "record"):
            record = self.dataset.record(index)
            areas, xywh = record.areas, record.xywh
        masks = None if sample.masks is None else [compress_mask(mask) for mask in sample.masks]
        flags = sample.difficult, sample.crowd
        roads = sample.mask if getattr(self.dataset, "roads", False) else None
        truth = _Truth(index, sample.id, sample.boxes, sample.labels, *flags, areas, xywh, masks, roads)
        return _Item(image, placement, truth)


def _batches(items: Iterator[_Item], size: int) -> Iterator[list[_Item]]:
    """Up to `size` items of one shape at a time."""
    for _, group in itertools.groupby(items, key=lambda item: item.image.shape):
        yield from chunks(group, size)


def _snug(original: tuple[int, int], size: tuple[int, int], resize: str) -> tuple[int, int]:
    """The smallest multiples of the stride, up to `size`, that an image fitted into `size` takes."""
    sides = fit_placement(original, size, resize).inner
    return tuple(min(most, -(-side // STRIDE) * STRIDE) for side, most in zip(sides, size, strict=True))


def check_any_size(detector) -> None:
    """Refuses a detector that takes one input size alone.

    Raises:
        ValueError: it does.
    """
    network = getattr(detector, "network", None)
    if network is None or network.inputs[0].shape[1] is not None:
        raise ValueError(f"rectangular: {detector.name} takes one input size; leave rectangular out")
