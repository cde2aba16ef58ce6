"""Evaluating a segmenter on a dataset, at the images' own resolution."""

from __future__ import annotations

from kzoo.evaluation.datasets import image_count, read_ahead, shared_classes
from kzoo.inference.segment import Inference
from kzoo.metrics.segmentation import SegmentationEvaluator, SegmentationMetrics
from kzoo.sources import chunks
from kzoo.system.progress import track


class MaskEvaluator:
    """Evaluates segmenters on one dataset.

    Args:
        dataset: a `kzoo.data.Dataset` of semantic masks, or whatever has `__len__`, `__getitem__ -> Sample` with a
            `mask`, and `classes`.
        inference: how images of any size go through the network.
        limit: number of images to evaluate on, the first ones; all where None.

    Raises:
        ValueError: the dataset has no images.

    Example:
        >>> evaluator = MaskEvaluator(kzoo.data.load("cells", split="val", task="segment"))
        >>> evaluator(model).mean_iou
    """

    def __init__(self, dataset, inference: Inference | None = None, limit: int | None = None):
        self.dataset, self.inference = dataset, inference or Inference()
        self.count = image_count(dataset, limit)

    def __call__(self, segmenter) -> SegmentationMetrics:
        """Evaluates a `kzoo.inference.segment.Segmenter`: a model or an exported file.

        Raises:
            ValueError: the segmenter knows other classes, finds no masks at all, or an image or its mask cannot be
                read.
        """
        classes = shared_classes(segmenter, self.dataset)
        evaluator = SegmentationEvaluator(classes.names)
        size = getattr(segmenter, "batch_size", None) or self.inference.batch_size
        samples = read_ahead(range(self.count), self._read, 2 * size)
        for batch in track(chunks(samples, size), "evaluating", total=-(-self.count // size)):
            results = self.inference(segmenter, [sample.image for sample in batch])
            for sample, (mask, _) in zip(batch, results, strict=True):
                evaluator.update(classes.mask(sample.mask), classes.of_model[mask], sample.id)
        return evaluator.result()

    def _read(self, index: int):
        sample = self.dataset[index]
        if sample.mask is None:
            raise ValueError(
                f"image {sample.id!r}: no semantic mask; open the dataset with task='segment', or see `kzoo data check`"
            )
        return sample
