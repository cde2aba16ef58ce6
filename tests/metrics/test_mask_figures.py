"""COCO's twelve figures of masks against pycocotools itself, and of boundaries against it with boundary IoU."""

import contextlib
import io
import math

import cv2
import numpy as np
import pytest
from detection_scenes import evaluate_scene, truth
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as oracle
from pycocotools.coco import COCO
from test_coco_figures import IgnoringEval

from kzoo.metrics.coco import FIGURES
from kzoo.structures import Detections
from kzoo.structures.runs import compress_mask

SIZE = (180, 240)


class BoundaryEval(IgnoringEval):
    """pycocotools with the lesser of mask and boundary IoU: what lies within 2 % of the diagonal of other pixels."""

    def computeIoU(self, image, category):
        ious = super().computeIoU(image, category)
        if not len(ious):
            return ious
        objects = self._gts[image, category]
        found = sorted(self._dts[image, category], key=lambda row: -row["score"])[: self.params.maxDets[-1]]
        edges = [[near_edge(row["segmentation"]) for row in rows] for rows in (found, objects)]
        crowd = [row["iscrowd"] for row in objects]
        both = np.minimum(ious, oracle.iou(*edges, crowd))
        return np.where(np.array(crowd, bool), ious, both)


def near_edge(runs):
    """The pixels of a mask that are as near to one of another value, or to the frame, as the boundary is wide."""
    mask = np.pad(oracle.decode(runs), 1)
    width = max(1, round(0.02 * math.hypot(*runs["size"])))
    inner = cv2.distanceTransform(mask, cv2.DIST_C, 3)[1:-1, 1:-1]
    return oracle.encode(np.asfortranarray((inner > 0) & (inner <= width), np.uint8))


def blob(rng, near=None):
    """An ellipse with a bite taken out; near another one where it is given."""
    if near is None:
        centre, radii = rng.uniform(0, SIZE), rng.uniform(2, 60, 2)
    else:
        centre, radii = near[0] + rng.normal(0, 3, 2), near[1] * rng.uniform(0.8, 1.25, 2)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    mask = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 <= 1
    mask &= ~((abs(rows - centre[0]) < radii[0] / 3) & (columns > centre[1]))
    return mask, (centre, radii)


def box_of(mask):
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return [x, y, x + width, y + height]


def random_scene(rng, images=5, classes=2, difficult=0.0, crowd=0.0, areas=False):
    scene = []
    for index in range(images):
        objects = [blob(rng) for _ in range(rng.integers(0, 7))]
        labels = rng.integers(0, classes, len(objects))
        again = rng.integers(0, max(len(objects), 1), int(1.5 * len(objects)))
        found = [blob(rng, objects[i][1])[0] for i in again] + [
            blob(rng)[0] for _ in range(rng.integers(0, 3))
        ]
        guessed = np.concatenate([labels[again], rng.integers(0, classes, len(found) - len(again))])
        flags = (rng.random(len(objects)) < difficult, rng.random(len(objects)) < crowd)
        image = truth([box_of(mask) for mask, _ in objects], labels, *flags, id=index)
        image.masks = np.array([mask for mask, _ in objects], bool).reshape(-1, *SIZE)
        if areas:
            image.areas = rng.uniform(100, 12000, len(objects))
        detections = Detections(
            [box_of(mask) for mask in found],
            rng.random(len(found)).round(1),
            guessed,
            np.array(found, bool).reshape(-1, *SIZE),
        )
        scene.append((image, detections))
    return scene


def pycocotools_figures(scene, classes, kind):
    objects, results = [], []
    for number, (image, detections) in enumerate(scene, 1):
        for i, mask in enumerate(image.masks):
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": number,
                    "category_id": int(image.labels[i]) + 1,
                    "segmentation": compress_mask(mask),
                    "area": int(mask.sum()) if image.areas is None else image.areas[i],
                    "iscrowd": int(image.crowd[i]),
                    "difficult": int(image.difficult[i]),
                }
            )
        results += detections.to_coco(number, category_ids=range(1, classes + 1))
    for row in results:
        del row["bbox"]  # else areas are those of the boxes
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": i, "height": SIZE[0], "width": SIZE[1]} for i in range(1, len(scene) + 1)],
            "categories": [{"id": label} for label in range(1, classes + 1)],
            "annotations": objects,
        }
        coco.createIndex()
        run = kind(coco, coco.loadRes(results) if results else COCO(), "segm")
        run.evaluate()
        run.accumulate()
        run.summarize()
    per_class = np.where(run.eval["precision"] < 0, np.nan, run.eval["precision"])[:, :, :, 0, -1]
    return np.where(run.stats < 0, np.nan, run.stats), per_class.mean((0, 1)), per_class[0].mean(0)


def assert_equal_to_pycocotools(scene, classes=2):
    metrics = evaluate_scene(scene, classes).masks
    for found, kind in ((metrics.coco, IgnoringEval), (metrics.boundary, BoundaryEval)):
        figures, ap, ap50 = pycocotools_figures(scene, classes, kind)
        assert tuple(found) == FIGURES
        np.testing.assert_allclose(list(found.values()), figures, atol=1e-6, rtol=0)
        if kind is IgnoringEval:
            np.testing.assert_allclose([row.ap for row in metrics.per_class], ap, atol=1e-6, rtol=0)
            np.testing.assert_allclose([row.ap50 for row in metrics.per_class], ap50, atol=1e-6, rtol=0)
        else:
            np.testing.assert_allclose([row.boundary_ap for row in metrics.per_class], ap, atol=1e-6, rtol=0)
    return metrics


@pytest.mark.parametrize(
    "flags", [{}, {"difficult": 0.3}, {"crowd": 0.3}, {"difficult": 0.3, "crowd": 0.3}, {"areas": True}]
)
def test_random_scenes(flags):
    metrics = assert_equal_to_pycocotools(random_scene(np.random.default_rng(1), **flags))
    assert 0.05 < metrics.map < 0.95 and 0.02 < metrics.boundary["map"] < metrics.map


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([0.0, 0.5]),
)
def test_any_scene(seed, images, crowd, difficult):
    assert_equal_to_pycocotools(random_scene(np.random.default_rng(seed), images, 2, difficult, crowd))


def test_run_lengths_and_arrays_are_the_same():
    scene = random_scene(np.random.default_rng(3))
    first = evaluate_scene(scene, 2).masks
    for image, detections in scene:
        image.masks = [compress_mask(mask) for mask in image.masks]
        detections.masks = [compress_mask(mask) for mask in detections.masks]
    assert evaluate_scene(scene, 2).masks == first


def test_boxes_alone_have_no_figures_of_masks():
    scene = random_scene(np.random.default_rng(0), images=2)
    for _, detections in scene:
        detections.masks = None
    metrics = evaluate_scene(scene, 2)
    assert metrics.masks is None and math.isnan(metrics.mask_map) and "masks" not in metrics.to_dict()


def test_masks_that_cannot_be_compared():
    scene = random_scene(np.random.default_rng(1), images=1)
    image, detections = scene[0]
    detections.masks = np.zeros((len(detections), 20, 30), bool)
    with pytest.raises(
        ValueError, match="image 0: masks of 30 x 20 and 240 x 180 pixels; give all of them the image's"
    ):
        evaluate_scene(scene, 2)
    image.masks = None
    with pytest.raises(
        ValueError, match="image 0: detections have masks and the objects have none; open the dataset"
    ):
        evaluate_scene(scene, 2)


def test_nothing_to_be_found_and_nothing_found():
    nothing = truth()
    nothing.masks = np.zeros((0, *SIZE), bool)
    empty = Detections([], [], [], np.zeros((0, *SIZE), bool))
    metrics = evaluate_scene([(nothing, empty)], 1)
    assert all(
        math.isnan(value) for value in (*metrics.masks.coco.values(), *metrics.masks.boundary.values())
    )
    found = Detections([[1, 1, 5, 5]], [0.5], [0], np.ones((1, *SIZE), bool))
    assert math.isnan(evaluate_scene([(nothing, found)], 1).masks.map)
    image = truth([[0, 0, 240, 180]], [0])
    image.masks = np.ones((1, *SIZE), bool)
    assert evaluate_scene([(image, empty)], 1).masks.map == 0.0
    assert evaluate_scene([(image, found)], 1).masks.map == pytest.approx(1.0)
