"""MOTA, IDF1 and switches equal motmetrics's; HOTA and its parts are what TrackEval 1.3.0 gave for the same tracks."""

import numpy as np
import pytest
from moving_shapes import noisy, paths

from kzoo.metrics import TrackingEvaluator
from kzoo.metrics.matching import iou


def scenario(seed: int):
    """Truth and tracks of 40 frames: noise, boxes that are missing, false ones, and numbers that change on the way."""
    rng = np.random.default_rng(seed)
    for frame, (boxes, numbers) in enumerate(paths(40, (240, 320), 7, seed)):
        keep = rng.random(len(boxes)) > 0.15
        found = boxes[keep] + rng.normal(0, 4, (keep.sum(), 4))
        ids = numbers[keep] + 10
        if frame > 15 + seed:
            ids = np.where(ids == 11, 12, np.where(ids == 12, 11, ids))
        if frame > 25:
            ids = np.where(ids == 13, 40 + frame // 4, ids)
        if frame % 5 == 0:
            found, ids = np.concatenate([found, [[1, 1, 30, 40]]]), np.append(ids, 99)
        yield boxes, numbers, found, ids


def evaluated(seed: int):
    evaluator = TrackingEvaluator()
    for frame in scenario(seed):
        evaluator.update(*frame)
    return evaluator.result()


@pytest.mark.parametrize("seed", range(4))
def test_mota_idf1_and_switches_are_motmetrics_s(seed):
    motmetrics = pytest.importorskip("motmetrics")
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for boxes, numbers, found, ids in scenario(seed):
        distances = 1 - iou(np.asarray(boxes), np.asarray(found))
        distances[distances > 0.5] = np.nan
        accumulator.update(numbers, ids, distances)
    expected = motmetrics.metrics.create().compute(accumulator, metrics=["mota", "idf1", "num_switches"])
    ours = evaluated(seed)
    assert (ours.mota, ours.idf1, ours.switches) == pytest.approx(tuple(expected.iloc[0]), abs=1e-12)


# Seed: HOTA, DetA, AssA, MOTA, IDF1 by TrackEval 1.3.0 (its classes HOTA, CLEAR and Identity) on NumPy 2.4.
RECORDED = {
    0: (0.52745451185, 0.548142124481, 0.509737750308, 0.689473684211, 0.775623268698),
    1: (0.482296036324, 0.537767585584, 0.434180183206, 0.683257918552, 0.702702702703),
    2: (0.515799456838, 0.541186116656, 0.494566946734, 0.679425837321, 0.731829573935),
    3: (0.487740085594, 0.543550642497, 0.439751889772, 0.733031674208, 0.704761904762),
}


@pytest.mark.parametrize("seed", RECORDED)
def test_figures_are_trackeval_s(seed):
    ours = evaluated(seed)
    figures = ours.hota, ours.detection, ours.association, ours.mota, ours.idf1
    assert figures == pytest.approx(RECORDED[seed], abs=1e-9)


def test_tracks_that_are_the_truth_are_worth_one_and_none_nothing():
    perfect, empty = TrackingEvaluator(), TrackingEvaluator()
    for boxes, numbers in paths(20, (240, 320), 5):
        perfect.update(boxes, numbers, boxes, numbers + 100)
        empty.update(boxes, numbers, [], [])
    assert [perfect.result().hota, perfect.result().mota, perfect.result().idf1] == pytest.approx([1, 1, 1])
    assert (empty.result().hota, empty.result().mota, empty.result().idf1) == (0, 0, 0)
    assert "HOTA 1.000" in str(perfect.result())


def test_what_is_no_truth_is_refused():
    with pytest.raises(ValueError, match="frame 0: 2 boxes with the numbers"):
        TrackingEvaluator().update([[0, 0, 1, 1], [0, 0, 2, 2]], [1, 1], [], [])
    with pytest.raises(ValueError, match="no frame has an object"):
        TrackingEvaluator().result()


def test_shapes_with_noise_are_what_a_tracker_gets():
    rng = np.random.default_rng(0)
    boxes, scores, labels = noisy(rng, np.array([[10.0, 10, 40, 40]] * 50), np.arange(1, 51))
    assert 30 < len(boxes) < 50 and (np.diff(scores) <= 0).all() and set(labels) == {0, 1, 2}
