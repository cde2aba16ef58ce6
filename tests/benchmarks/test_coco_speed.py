"""What COCO's twelve figures take beside pycocotools, of as many images as its validation part has.

`pytest -m benchmark -s tests/benchmarks/test_coco_speed.py`
"""

import contextlib
import io
import time

import numpy as np
import pytest

from kzoo.metrics.coco import FIGURES, coco_figures
from kzoo.metrics.matching import EvaluatedImage

IMAGES, DETECTIONS, OBJECTS, CLASSES = 5000, 100, 7, 80


def scene():
    """Detections near the objects and elsewhere, boxes as xywh pixels."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(IMAGES):
        corners, extents = rng.uniform(0, 400, (OBJECTS, 2)), rng.uniform(8, 200, (OBJECTS, 2))
        truth = np.concatenate([corners, corners + extents], axis=-1).round(2)
        labels = rng.integers(0, CLASSES, OBJECTS)
        which = rng.integers(0, OBJECTS, DETECTIONS)
        found = truth[which] + rng.normal(0, 8, (DETECTIONS, 4))
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        wrong = rng.random(DETECTIONS) < 0.5
        found_labels = np.where(wrong, rng.integers(0, CLASSES, DETECTIONS), labels[which])
        images.append((truth, labels, found.round(2), found_labels, np.sort(rng.random(DETECTIONS))[::-1]))
    return images


def theirs(images):
    coco, evaluation = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")

    def rows(boxes, labels, image_id, **more):
        xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=-1)
        columns = {name: values.tolist() for name, values in more.items()}
        for row, (box, label) in enumerate(zip(xywh.tolist(), labels.tolist(), strict=True)):
            own = {name: values[row] for name, values in columns.items()}
            area = box[2] * box[3]
            yield {"image_id": image_id, "category_id": label, "bbox": box, "area": area, "iscrowd": 0, **own}

    def table(annotations):
        known = coco.COCO()
        known.dataset = {
            "images": [{"id": number} for number in range(1, len(images) + 1)],
            "categories": [{"id": label} for label in range(CLASSES)],
            "annotations": [{**row, "id": number} for number, row in enumerate(annotations, 1)],
        }
        known.createIndex()
        return known

    with contextlib.redirect_stdout(io.StringIO()):
        truth = table(row for number, one in enumerate(images, 1) for row in rows(one[0], one[1], number))
        found = table(
            row for number, one in enumerate(images, 1) for row in rows(one[2], one[3], number, score=one[4])
        )
        run = evaluation.COCOeval(truth, found, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


def ours(images):
    evaluated = []
    for truth, labels, found, found_labels, scores in images:
        areas = (truth[:, 2] - truth[:, 0]) * (truth[:, 3] - truth[:, 1])
        none = np.zeros(len(truth), bool)
        evaluated.append(
            EvaluatedImage(
                boxes=truth,
                labels=labels,
                difficult=none,
                crowd=none,
                areas=areas,
                found=found,
                found_labels=found_labels,
                scores=scores,
            )
        )
    figures = coco_figures(evaluated, CLASSES).figures
    return [figures[name] for name in FIGURES]


def timed(function, images):
    """What a function finds, the seconds it took by the clock, and those of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    found = function(images)
    return found, time.perf_counter() - clock, time.process_time() - processor


@pytest.mark.benchmark
def test_figures_beside_pycocotools():
    images = scene()
    (own, *spent), (other, *others) = timed(ours, images), timed(theirs, images)
    np.testing.assert_allclose(own, other, atol=1e-6)
    print(f"\n{IMAGES} x {DETECTIONS} detections    kzoo   pycocotools   ratio")
    for name, mine, their in zip(("by the clock", "of the processor"), spent, others, strict=True):
        print(f"{name:<20} {mine:7.1f} s {their:11.1f} s {mine / their:7.2f}")
