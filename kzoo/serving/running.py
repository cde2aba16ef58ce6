"""One model as requests use it: pictures to inputs, batches of inputs to results, results back to pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kzoo.augment.letterbox import Placement, fit
from kzoo.inference.decoded import BOX_TASKS, takes_fractions
from kzoo.inference.detect import masks_aligned, resize_of, to_detections
from kzoo.inference.fusing import Found
from kzoo.inference.looks import Looks, Steps
from kzoo.inference.segment import carried_back
from kzoo.structures import Classification, Detections, Segmentation
from kzoo.structures.images import check_images

_GREY = 114


class Runner:
    """What `model.detect` and `model.segment` do, in three steps of which the middle one takes many pictures at once.

    Args:
        model: what `kzoo.load` gives.
        most: number of images that the model gets at once, at most.

    Attributes:
        task: "detect", "instance", "drive", "segment" or "classify".
        names: class names.
        size: height and width of the input in pixels.
        outputs: for each result its type and its shape of one image, known after `warm_up`.

    Example:
        >>> runner = Runner(kzoo.load("cells"), 8)
        >>> inputs, placement = runner.prepare(image)
        >>> runner.finish(runner.run(inputs[None]), placement, 0.25)
    """

    def __init__(self, model, most: int):
        self.model, self.most = model, most
        self.task = getattr(model, "task", "detect")
        self.names = list(model.names)
        self.size = tuple(model.image_size)
        self._resize = resize_of(model)
        self._exact = takes_fractions(model)
        self._aligned = masks_aligned(model)
        self.outputs: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}

    def prepare(self, image: np.ndarray) -> tuple[np.ndarray, Placement]:
        """A picture (H, W, 3) uint8 as the model takes it, (h, w, 3), and how it lies there."""
        return fit(image, self.size, self._resize, self._exact)

    def check(self, images: np.ndarray) -> None:
        """Refuses arrays that are no inputs of the model, with a ValueError.

        Args:
            images: what should be (B, h, w, 3) RGB in 0..255.
        """
        expected = (*self.size, 3)
        if images.ndim != 4 or images.shape[1:] != expected or not len(images):
            raise ValueError(
                f"images of shape {images.shape}: give (B, {', '.join(map(str, expected))}), RGB in 0..255"
            )
        check_images(images)

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The decoded results of inputs (B, h, w, 3), by name, each (B, ...)."""
        parts = [
            self._run_part(images[start : start + self.most]) for start in range(0, len(images), self.most)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def warm_up(self) -> None:
        """Runs a grey image in batches of every size that is compiled for, so that no request waits for it."""
        size = 1
        while size <= self.most:
            results = self.run(np.full((size, *self.size, 3), _GREY, np.uint8))
            size *= 2
        self.outputs = {name: (value.dtype, value.shape[1:]) for name, value in results.items()}

    def finish(
        self, results: dict[str, np.ndarray], placement: Placement, score_threshold: float
    ) -> Detections | Segmentation | Classification:
        """The result of one picture, in its own pixels and without it.

        Args:
            results: what `run` gave for it, each (1, ...).
            placement: what `prepare` gave for it.
            score_threshold: score below which detections are left out, 0 to 1.
        """
        result = {name: value[0] for name, value in results.items()}
        if self.task in BOX_TASKS:
            return to_detections(result, placement, score_threshold, self._aligned, names=self.names)
        if self.task == "segment":
            return Segmentation(carried_back(result["probabilities"], placement)[0], names=self.names)
        return Classification(result["scores"], self.names)

    def steps(self, image: np.ndarray, looks: Looks, score_threshold: float) -> Steps:
        """Looks at a picture more than once: see `Looks.steps`, which yields inputs and is sent what `run` gives.

        Args:
            image: (H, W, 3) uint8 RGB.
            looks: how it is looked at.
            score_threshold: score below which detections are left out, 0 to 1.
        """
        return looks.steps(self.model, image, score_threshold, self.most, self._resize, self._aligned)

    def detections(self, found: Found) -> Detections:
        """What `steps` found, with the names of the classes."""
        return Detections(**found, names=self.names)

    def _run_part(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """As `run`, for no more images than the model gets at once."""
        count = len(images)
        # Filled up to a power of two, so that a model of Keras is compiled for a few sizes only.
        size = min(self.most, 1 << (count - 1).bit_length()) if self._exact else count
        filled = np.concatenate([images, np.repeat(images[-1:], size - count, axis=0)])
        return {
            name: np.asarray(value)[:count] for name, value in self.model.predict_on_batch(filled).items()
        }


def split(results: dict[str, np.ndarray], counts: Sequence[int]) -> list[dict[str, np.ndarray]]:
    """The results of a batch as those of the groups of images that it was made of.

    Args:
        results: the batch's results by name, each (B, ...).
        counts: number of images of each group, B in all.
    """
    ends = np.cumsum(counts)
    return [
        {name: value[end - count : end] for name, value in results.items()}
        for end, count in zip(ends, counts, strict=True)
    ]
