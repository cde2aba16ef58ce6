"""COCO's twelve figures, computed by faster-coco-eval: the numbers of pycocotools, which the tests compare with.

COCO breaks ties between images by their ids, and an overlap that lies exactly on a threshold depends on the last bit of
a box. So images come in the order of their ids here, and boxes with the x, y, width and height that their file has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kzoo.metrics.matching import EvaluatedImage, sides
from kzoo.structures.runs import area_of_runs

FIGURES = (
    *("map", "map50", "map75", "map_small", "map_medium", "map_large"),
    *("ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large"),
)

# COCO has no flag for "ignore" but `iscrowd`, and that also measures overlap against the detection alone and lets one
# box match many. Yet an object outside the area range in question is ignored without those two, so a difficult object
# is given an area beyond all ranges (they end at 1e5 squared).
BEYOND_ALL_AREAS = 2e10


@dataclass(frozen=True)
class CocoFigures:
    """What COCO's evaluation says.

    Attributes:
        figures: the twelve, by the names in `FIGURES`; NaN where there is nothing to be found.
        ap: (C,) average precision of each class over IoU .50:.95; NaN for a class without objects.
        ap50: (C,) the same at IoU .50.
        ap75: (C,) the same at IoU .75.
    """

    figures: dict[str, float]
    ap: np.ndarray
    ap50: np.ndarray
    ap75: np.ndarray


def coco_figures(images: Sequence[EvaluatedImage], classes: int, kind: str = "bbox") -> CocoFigures:
    """Evaluates detections as COCO does: 101 recall points, ten IoU thresholds, 100 detections a class and image.

    Crowds follow COCO. Difficult objects are neither hit nor miss: the detection that matches one is left out, a
    second one on it is a miss.

    Args:
        images: truth and detections, in the order of their ids (see `order_by_id`).
        classes: the number of classes, C.
        kind: what is compared: "bbox" boxes; "segm" masks; "boundary" masks by the lesser of their IoU and that of
            their boundaries, which are as wide as 2 % of the image's diagonal.

    Returns:
        The twelve figures, and each class's average precision.

    Source: Lin et al. 2014, Microsoft COCO: Common Objects in Context, arXiv:1405.0312; Cheng et al. 2021,
        Boundary IoU, arXiv:2103.16562.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    def silent(*_) -> None:
        """The library reports its progress here."""

    tables = [
        COCO(_table(images, classes, rows, kind != "bbox"), print_function=silent)
        for rows in (_objects, _detections)
    ]
    run = COCOeval_faster(*tables, iouType=kind, print_function=silent)
    if images:
        run.run()
        stats, precision = np.asarray(run.stats[:12], float), np.asarray(run.eval["precision"])
    else:
        stats, precision = np.full(12, -1.0), np.full((10, 101, classes, 4, 3), -1.0)
    # (IoU, recall, class) over all areas and 100 detections; -1 is COCO's "there is none".
    precision = precision[:, :, :, 0, -1]  # (10, 101, C)
    precision = np.where(precision < 0, np.nan, precision)
    figures = {
        name: float(value) if value >= 0 else np.nan for name, value in zip(FIGURES, stats, strict=True)
    }
    # Without objects a class is NaN throughout, with one it is NaN nowhere: a plain mean says the right thing.
    return CocoFigures(figures, precision.mean((0, 1)), precision[0].mean(0), precision[5].mean(0))


def _table(images: Sequence[EvaluatedImage], classes: int, rows, masks: bool) -> dict:
    annotations = [row for number, image in enumerate(images, 1) for row in rows(number, image, masks)]
    for number, row in enumerate(annotations, 1):
        row["id"] = number
    return {
        "images": [{"id": number, **_size(image)} for number, image in enumerate(images, 1)],
        "categories": [{"id": label, "name": str(label)} for label in range(classes)],
        "annotations": annotations,
    }


def _size(image: EvaluatedImage) -> dict[str, int]:
    """The height and width of an image in pixels, as its masks say it; nothing where it has none."""
    for runs in (*(image.masks or ()), *(image.found_masks or ())):
        return dict(zip(("height", "width"), runs["size"], strict=True))
    return {}


def _row(image_id: int, xywh: Sequence[float], label: int, area: float, **more) -> dict:
    return {
        "image_id": image_id,
        "category_id": label,
        "bbox": xywh,
        "area": area,
        "iscrowd": 0,
        **more,
    }


def _objects(image_id: int, image: EvaluatedImage, masks: bool) -> list[dict]:
    areas = image.mask_areas if masks else image.areas
    areas = np.where(image.difficult & ~image.crowd, BEYOND_ALL_AREAS, areas)
    xywh = sides(image.boxes) if image.xywh is None else image.xywh
    columns = (xywh.tolist(), image.labels.tolist(), areas.tolist(), image.crowd.tolist())
    rows = [
        _row(image_id, box, label, area, iscrowd=int(crowd))
        for box, label, area, crowd in zip(*columns, strict=True)
    ]
    for row, runs in zip(rows, image.masks if masks else (), strict=masks):
        row["segmentation"] = runs
    return rows


def _detections(image_id: int, image: EvaluatedImage, masks: bool) -> list[dict]:
    xywh = sides(image.found) if image.found_xywh is None else image.found_xywh
    columns = (xywh.tolist(), image.found_labels.tolist(), image.scores.tolist())
    rows = [
        _row(image_id, box, label, box[2] * box[3], score=score)
        for box, label, score in zip(*columns, strict=True)
    ]
    for row, runs in zip(rows, image.found_masks if masks else (), strict=masks):
        row.update(segmentation=runs, area=area_of_runs(runs))
    return rows


def order_by_id(ids: Sequence[str | int]) -> list[int]:
    """The positions of images in the order in which COCO takes them: by id, numbers before texts.

    Images of one id, which COCO does not know, keep their order.
    """
    return sorted(range(len(ids)), key=lambda position: (isinstance(ids[position], str), ids[position]))
