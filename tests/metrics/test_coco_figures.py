"""COCO's twelve figures against pycocotools itself."""

import contextlib
import io

import numpy as np
import pytest
from detection_scenes import detected, evaluate_scene, random_scene, truth
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kzoo.metrics.coco import FIGURES

A, B = [10, 10, 60, 60], [100, 100, 200, 180]


class IgnoringEval(COCOeval):
    """pycocotools, with `difficult` in the place of the `ignore` flag that it overwrites."""

    def _prepare(self):
        super()._prepare()
        for objects in self._gts.values():
            for row in objects:
                row["ignore"] = row["iscrowd"] or row["difficult"]


def pycocotools_figures(scene, classes):
    objects, results = [], []
    for number, (image, detections) in enumerate(scene, 1):
        for i, (x1, y1, x2, y2) in enumerate(np.asarray(image.boxes, float)):
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": number,
                    "category_id": int(image.labels[i]) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1) if image.areas is None else image.areas[i],
                    "iscrowd": int(image.crowd[i]),
                    "difficult": int(image.difficult[i]),
                }
            )
        results += detections.to_coco(number, category_ids=range(1, classes + 1))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": number} for number in range(1, len(scene) + 1)],
            "categories": [{"id": label} for label in range(1, classes + 1)],
            "annotations": objects,
        }
        coco.createIndex()
        # loadRes refuses an empty list.
        detected = coco.loadRes(results) if results else COCO()
        run = IgnoringEval(coco, detected, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    per_class = np.where(run.eval["precision"] < 0, np.nan, run.eval["precision"])[:, :, :, 0, -1]
    return np.where(run.stats < 0, np.nan, run.stats), per_class.mean((0, 1)), per_class[0].mean(0)


def assert_equal_to_pycocotools(scene, classes=3):
    metrics = evaluate_scene(scene, classes)
    figures, ap, ap50 = pycocotools_figures(scene, classes)
    assert tuple(metrics.coco) == FIGURES
    np.testing.assert_allclose(list(metrics.coco.values()), figures, atol=1e-6, rtol=0)
    np.testing.assert_allclose([row.ap for row in metrics.per_class], ap, atol=1e-6, rtol=0)
    np.testing.assert_allclose([row.ap50 for row in metrics.per_class], ap50, atol=1e-6, rtol=0)
    return metrics


@pytest.mark.parametrize("flags", [{}, {"difficult": 0.3}, {"crowd": 0.3}, {"difficult": 0.3, "crowd": 0.3}])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_random_scenes(seed, ties, flags):
    metrics = assert_equal_to_pycocotools(random_scene(np.random.default_rng(seed), ties=ties, **flags))
    assert 0.05 < metrics.map < 0.95


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, 5),
    most=st.integers(0, 5),
    extra=st.integers(0, 5),
    crowd=st.sampled_from([0.0, 0.5, 1.0]),
    difficult=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_any_scene(seed, images, most, extra, crowd, difficult):
    rng = np.random.default_rng(seed)
    assert_equal_to_pycocotools(
        random_scene(rng, images, 2, difficult, crowd, most, extra, ties=True), classes=2
    )


def test_more_than_100_detections():
    rng = np.random.default_rng(0)
    scene = random_scene(rng, images=2, classes=1, most=60, extra=400)
    assert max(len(detections) for _, detections in scene) > 200
    metrics = assert_equal_to_pycocotools(scene, classes=1)
    assert metrics.coco["ar_1"] < metrics.coco["ar_10"] < metrics.coco["ar_100"]


EDGE_CASES = {
    "nothing to be found": [(truth(), detected([A], [0.9]))],
    "nothing found": [(truth([A], [0]), detected())],
    "neither": [(truth(), detected())],
    "a class with neither": [(truth([A, B], [0, 0]), detected([A], [0.9]))],
    "a class found that is not there": [(truth([A], [0]), detected([A, B], [0.9, 0.8], [0, 1]))],
    "a class there that is not found": [(truth([A, B], [0, 1]), detected([A], [0.9]))],
    "only a crowd": [(truth([A], [0], crowd=[True]), detected([A, A], [0.9, 0.8]))],
    "a crowd absorbs many": [
        (
            truth([[0, 0, 300, 300], A], [0, 0], crowd=[True, False]),
            detected([A, [100, 100, 120, 120], [200, 200, 250, 250]], [0.5, 0.9, 0.8]),
        )
    ],
    "only a difficult one": [(truth([A], [0], difficult=[True]), detected([A, A], [0.9, 0.8]))],
    "a difficult one beside a plain one": [
        (truth([A, B], [0, 0], difficult=[True, False]), detected([A, A, B], [0.9, 0.8, 0.7]))
    ],
    "difficult and crowd in one": [
        (
            truth([A, B], [0, 0], difficult=[True, False], crowd=[True, False]),
            detected([A, A, B], [0.9, 0.8, 0.7]),
        )
    ],
    "equal scores": [
        (truth([A, B], [0, 0]), detected([[300, 300, 310, 310], A, B], [0.5, 0.5, 0.5])),
        (truth([A], [0]), detected([B, A], [0.5, 0.5])),
    ],
    "equal boxes": [(truth([A, A], [0, 0]), detected([A, A, A], [0.9, 0.8, 0.7]))],
    "a detection without area": [(truth([A, B], [0, 0]), detected([[20, 20, 20, 20], A], [0.9, 0.8]))],
    "an object without area": [
        (truth([[20, 20, 20, 20], A], [0, 0]), detected([[20, 20, 20, 20], A], [0.9, 0.8]))
    ],
    "IoU of exactly .5": [(truth([[0, 0, 10, 10]], [0]), detected([[0, 0, 10, 5]], [0.9]))],
    "areas given apart from the boxes": [
        (truth([A, B], [0, 0], areas=[500.0, 20000.0]), detected([A, B], [0.9, 0.8]))
    ],
    "areas on the borders": [
        (
            truth([[0, 0, 32, 32], [50, 50, 146, 146]], [0, 0]),
            detected([[0, 0, 32, 32], [50, 50, 146, 146]], [0.9, 0.8]),
        )
    ],
    "an image without either among others": [
        (truth([A], [0]), detected([A], [0.9])),
        (truth(), detected()),
        (truth([B], [0]), detected([B], [0.4])),
    ],
}


@pytest.mark.parametrize("name", EDGE_CASES)
def test_edge_case(name):
    assert_equal_to_pycocotools(EDGE_CASES[name], classes=3)


def test_nothing_at_all_is_not_a_number():
    metrics = evaluate_scene([], classes=2)
    assert all(np.isnan(value) for value in metrics.coco.values())


def test_figures_of_known_cases():
    perfect = evaluate_scene([(truth([A, B], [0, 1]), detected([A, B], [0.9, 0.8], [0, 1]))])
    assert perfect.map == perfect.map50 == 1.0
    assert np.isnan(perfect.coco["map_small"])
    missed = evaluate_scene(EDGE_CASES["nothing found"])
    assert missed.map == 0.0 and missed.coco["ar_100"] == 0.0
    # The second detection of a difficult object is a miss, of a crowd it is not.
    assert evaluate_scene(EDGE_CASES["a difficult one beside a plain one"]).map == pytest.approx(
        0.5, abs=1e-9
    )
    assert evaluate_scene(EDGE_CASES["difficult and crowd in one"]).map == 1.0


def test_the_library_prints_nothing(capfd, caplog):
    caplog.set_level("DEBUG")
    evaluate_scene(random_scene(np.random.default_rng(0)))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
