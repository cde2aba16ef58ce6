"""Evaluating models on datasets: read, resize, predict, carry back, measure."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from kzoo.data.relabel import where
from kzoo.evaluation.datasets import data_task, open_split
from kzoo.evaluation.detection import Evaluator
from kzoo.evaluation.error_page import write_error_page
from kzoo.evaluation.segmentation import MaskEvaluator
from kzoo.inference.asked import batch_size_of, refuse_idle_inference
from kzoo.inference.detect import with_nms
from kzoo.inference.segment import Inference
from kzoo.metrics import DetectionMetrics, SegmentationMetrics
from kzoo.options import checked
from kzoo.options.commands import EVALUATE
from kzoo.system.memory import check_batch

__all__ = ["Evaluator", "MaskEvaluator", "data_task", "evaluate", "open_split", "write_error_page"]

log = logging.getLogger("kzoo")
SCORE_THRESHOLD = 0.001


@checked(EVALUATE)
def evaluate(
    model,
    data,
    split: str | None = None,
    batch_size: int | None = None,
    image_size: int | Sequence[int] | None = None,
    score_threshold: float | None = None,
    limit: int | None = None,
    skip_faulty: bool = False,
    resize: str | None = None,
    rectangular: bool = False,
    method: str | None = None,
    overlap: int | None = None,
    flips: Sequence[str] = (),
    errors: bool = False,
    nms: str | None = None,
    bits: int | None = None,
) -> DetectionMetrics | SegmentationMetrics:
    """Measures a model on a dataset, in the photographs' own pixels: average precision, or how good masks are.

    Args:
        model: a `kzoo.ZooModel`, what `kzoo.load` gives, or the path of a model, an export or a run folder.
        data: a dataset, or its path.
        split: the part of the dataset at that path, such as "test"; where None "val", or else "test", or all if it
            has no parts.
        batch_size: number of images that the model gets at once; where None 16, or as many as an export takes.
        image_size: a side in pixels, or height and width, that a detector's images are brought to; the model's own
            where None.
        score_threshold: score below which a detector's boxes are left out, 0 to 1; 0.001 where None, for average
            precision needs the low ones too.
        limit: number of images to evaluate on, the first ones; all where None.
        skip_faulty: whether images and boxes are left out that `kzoo data check` finds errors in. Else a box without
            area is an object nobody can find, and one that is not a box at all is an error.
        resize: how images are brought to that size: one of `kzoo.augment.RESIZES`; the model's own way
            where None.
        rectangular: whether a detector gets batches of images of one shape: see `Evaluator`.
        method: how an image goes through a segmenter, "resize" or "window": see `kzoo.inference.segment.Inference`.
        overlap: overlap of the tiles of "window" in pixels; a quarter of a tile where None.
        flips: mirror images that a segmenter's results are averaged over: "horizontal", "vertical" or both.
        errors: whether a detector's figures have what is wrong and what it costs: see `kzoo.metrics.ErrorAnalysis`.
        nms: how a detector suppresses boxes that overlap: one of `kzoo.ops.nms.KINDS`; the model's own way where None.
        bits: number of bits that 16-bit images of a dataset at a path use, 8 to 16; all where None.

    Returns:
        `DetectionMetrics`: `.map`, `.map50`, `.coco`, `.voc_ap_all`, `.per_class`, `.to_dict()`, of models that find
        masks `.masks`, of those of roads `.roads`, where asked for `.errors`, of which `write_error_page` makes a page;
        or `SegmentationMetrics`: `.mean_iou`, `.dice`, `.boundary_f1`, `.per_class`, `.to_dict()`.

    Raises:
        ValueError: the model knows other classes than the dataset has, an image cannot be read, or an argument is
            for other models.
        FileNotFoundError: there is no such model or dataset.

    Example:
        >>> kzoo.evaluate("runs/detect/street", "data/street", split="test").map50
    """
    if isinstance(model, (str, Path)):
        from kzoo.weights.opening import load as load_model

        model = load_model(model)
    options = {
        "image_size": image_size,
        "score_threshold": score_threshold,
        "resize": resize,
        "rectangular": rectangular,
        "method": method,
        "overlap": overlap,
        "flips": flips,
        "errors": errors,
        "nms": nms,
    }
    refuse_idle_inference(model, EVALUATE, options)
    model = with_nms(model, nms)
    dataset = _opened(data, split, bits, data_task(model))
    if skip_faulty:
        dataset = _without_faults(dataset)
    batch_size = batch_size_of(model, batch_size, 16)
    if data_task(model) == "segment":
        inference = Inference(method or "resize", overlap, tuple(flips), resize, batch_size)
        return MaskEvaluator(dataset, inference, limit)(model)
    evaluator = Evaluator(
        dataset,
        _detector_size(model, image_size, batch_size),
        batch_size,
        SCORE_THRESHOLD if score_threshold is None else score_threshold,
        limit,
        cache_bytes=0,  # for a detector that is evaluated once
        resize=resize,
        rectangular=rectangular,
        errors=errors,
    )
    metrics = evaluator(model)
    if not metrics.objects:
        log.warning(
            "%s: no object to find on any image: nothing is measured; see kzoo data check", where(dataset)
        )
    return metrics


def _opened(data, split: str | None, bits: int | None, task: str | None):
    """The dataset to evaluate on, where it is at a path the part of it.

    Raises:
        ValueError: an option says how to open a dataset that is open already.
    """
    if isinstance(data, (str, Path)):
        return open_split(data, split, task, bits)
    if split is not None:
        raise ValueError(
            f"evaluate: split {split!r} of a dataset that is open already; open that split of it"
        )
    if bits is not None:
        raise ValueError(f"evaluate: bits={bits} of a dataset that is open already; open it with bits={bits}")
    return data


def _without_faults(dataset):
    """The dataset without the images and boxes that are faulty."""
    from kzoo.data.checks.check import require_sound

    if not hasattr(dataset, "record"):
        raise ValueError(
            f"evaluate: skip_faulty of {type(dataset).__name__}, which cannot be looked through; leave it out, or "
            "give a dataset as kzoo.data.load opens it"
        )
    return require_sound(dataset, skip_faulty=True)


def _detector_size(model, image_size: Sequence[int] | None, batch_size: int) -> tuple[int, int]:
    """Height and width that a detector's images are brought to.

    Raises:
        ValueError: the network does not take that size, or no memory holds a batch of it.
    """
    if image_size is not None and hasattr(model, "check_size"):
        image_size = model.check_size(image_size)
        check_batch(batch_size, image_size)
    return image_size or model.image_size
