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
from kzoo.inference.detect import batch_size_of, refuse_idle_inference, with_nms
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
        batch_size: how many images a model gets at once; where None 16, or as many as an export takes.
        image_size: of detectors: a side in pixels, or height and width, to evaluate at; the model's own where None.
        score_threshold: of detectors: detections below it are left out, 0 to 1; 0.001 where None, for average
            precision needs the low ones too.
        limit: evaluate the first so many images only.
        skip_faulty: leave out images and boxes that `kzoo data check` finds errors in. Else a box without area
            is an object nobody can find, and one that is not a box at all is an error.
        resize: how images are brought to that size: one of `kzoo.augment.RESIZES`; the model's own way
            where None.
        rectangular: of detectors: batches of images of one shape, see `Evaluator`.
        method: of segmenters: "resize" or "window", see `kzoo.inference.segment.Inference`.
        overlap: likewise, pixels.
        flips: likewise, mirror images to average over.
        errors: of detectors: also what is wrong and what it costs, see `kzoo.metrics.ErrorAnalysis`.
        nms: of detectors: the kind of suppression, one of `kzoo.ops.nms.KINDS`; the model's own where None.
        bits: of 16-bit images at a path: how many are in use, as `kzoo.data.load` takes it.

    Returns:
        `DetectionMetrics`: `.map`, `.map50`, `.coco`, `.voc_ap_all`, `.per_class`, `.to_dict()`, where asked for
        `.errors`, of which `write_error_page` makes a page; or
        `SegmentationMetrics`: `.mean_iou`, `.dice`, `.boundary_f1`, `.per_class`, `.to_dict()`.

    Raises:
        ValueError: the model knows other classes than the dataset has, an image cannot be read, or an argument is
            for other models.
        FileNotFoundError: there is no such model or dataset.

    Example:
        >>> kzoo.evaluate("runs/detect/street", "data/street", split="test").map50
    """
    if isinstance(model, (str, Path)):
        from kzoo.opening import load as load_model

        model = load_model(model)
    options = {"method": method, "overlap": overlap, "flips": flips, "resize": resize, "errors": errors}
    options |= {
        "image_size": image_size,
        "rectangular": rectangular,
        "nms": nms,
        "score_threshold": score_threshold,
    }
    refuse_idle_inference(model, EVALUATE, options)
    model = with_nms(model, nms)
    if isinstance(data, (str, Path)):
        data = open_split(data, split, data_task(model), bits)
    elif split is not None:
        raise ValueError(
            f"evaluate: split {split!r} of a dataset that is open already; open that split of it"
        )
    elif bits is not None:
        raise ValueError(f"evaluate: bits={bits} of a dataset that is open already; open it with bits={bits}")
    if skip_faulty:
        from kzoo.data.checks.check import require_sound

        if not hasattr(data, "record"):
            raise ValueError(
                f"evaluate: skip_faulty of {type(data).__name__}, which cannot be looked through; leave it out, or "
                "give a dataset as kzoo.data.load opens it"
            )
        data = require_sound(data, skip_faulty=True)
    batch_size = batch_size_of(model, batch_size, 16)
    if data_task(model) == "segment":
        inference = Inference(method or "resize", overlap, tuple(flips), resize, batch_size)
        return MaskEvaluator(data, inference, limit)(model)
    if image_size is not None and hasattr(model, "check_size"):
        image_size = model.check_size(image_size)
        check_batch(batch_size, image_size)
    image_size = image_size or model.image_size
    score_threshold = SCORE_THRESHOLD if score_threshold is None else score_threshold
    evaluator = Evaluator(
        data, image_size, batch_size, score_threshold, limit, 0, resize, rectangular, errors
    )
    metrics = evaluator(model)
    if not metrics.objects:
        log.warning(
            "%s: no object to find on any image: nothing is measured; see kzoo data check", where(data)
        )
    return metrics
