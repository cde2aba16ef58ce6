"""What is said of instance masks beside the boxes: COCO's figures by mask IoU, and by boundary IoU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from kzoo.metrics.coco import coco_figures
from kzoo.metrics.matching import EvaluatedImage
from kzoo.structures.runs import area_of_runs, as_runs


@dataclass(frozen=True)
class MaskClassMetrics:
    """One class's figures of its masks; NaN where the class has no objects.

    Attributes:
        name: the class.
        ap: COCO's average precision over IoU .50:.95 of the masks.
        ap50: COCO's at IoU .50.
        boundary_ap: average precision over boundary IoU .50:.95.
    """

    name: str
    ap: float
    ap50: float
    boundary_ap: float


@dataclass(frozen=True)
class MaskMetrics:
    """What a detector's masks are worth on a dataset; NaN where there is nothing to measure.

    Attributes:
        coco: the twelve figures as `kzoo.metrics.DetectionMetrics` has them of boxes. Small, medium and large go by the
            annotation's areas, of detections by the masks' pixels.
        boundary: the same twelve, where the overlap of two masks is the lesser of their IoU and that of their
            boundaries: what lies within 2 % of the image's diagonal of an outline. Large objects, whose IoU hardly
            feels their outlines, differ by it.
        per_class: one row a class.

    Source: Cheng et al. 2021, Boundary IoU: Improving Object-Centric Image Segmentation Evaluation, arXiv:2103.16562.
    """

    coco: dict[str, float]
    boundary: dict[str, float]
    per_class: tuple[MaskClassMetrics, ...]

    @property
    def map(self) -> float:
        """COCO's mean average precision over IoU .50:.95 of the masks."""
        return self.coco["map"]

    @property
    def map50(self) -> float:
        """COCO's mean average precision at IoU .50 of the masks."""
        return self.coco["map50"]

    def to_dict(self) -> dict:
        """Plain data."""
        rows = [asdict(row) for row in self.per_class]
        return {"coco": self.coco, "boundary": self.boundary, "classes": rows}


def mask_fields(truth, detections, areas: np.ndarray | None) -> dict:
    """The fields of an `EvaluatedImage` about masks; none of them where the detections have no masks.

    Args:
        truth: the objects, with `masks`, `labels` and `id`.
        detections: what was found, with `masks` or not.
        areas: (G,) the annotation's areas of the objects, which in COCO's files are those of the masks; where None each
            mask's own.

    Raises:
        ValueError: the objects have no masks, or the detections' are of another size.
    """
    if getattr(detections, "masks", None) is None:
        return {}
    masks = getattr(truth, "masks", None)
    if masks is None and len(truth.labels):
        raise ValueError(
            f"image {truth.id!r}: detections have masks and the objects have none; open the dataset with "
            "task='instance'"
        )
    masks, found = as_runs(() if masks is None else masks), as_runs(detections.masks)
    sizes = sorted({tuple(runs["size"]) for runs in (*masks, *found)})
    if len(sizes) > 1:
        listed = " and ".join(f"{width} x {height}" for height, width in sizes)
        raise ValueError(f"image {truth.id!r}: masks of {listed} pixels; give all of them the image's size")
    own = np.array([area_of_runs(runs) for runs in masks], float)
    areas = own if areas is None else np.asarray(areas, float)
    return {
        "masks": masks,
        "found_masks": found,
        "mask_areas": np.where(np.isfinite(areas), areas, own),
    }


def mask_metrics(images: Sequence[EvaluatedImage], names: Sequence[str]) -> MaskMetrics | None:
    """The figures of the masks; None where an image was evaluated without.

    Args:
        images: truth and detections, in the order of their ids.
        names: the classes, in the order of the labels.
    """
    if not images or any(image.found_masks is None for image in images):
        return None
    coco, boundary = (coco_figures(images, len(names), kind) for kind in ("segm", "boundary"))
    rows = zip(names, coco.ap.tolist(), coco.ap50.tolist(), boundary.ap.tolist(), strict=True)
    return MaskMetrics(coco.figures, boundary.figures, tuple(MaskClassMetrics(*row) for row in rows))
