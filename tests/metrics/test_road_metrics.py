"""Figures of roads against counts in plain NumPy."""

import numpy as np
import pytest

from kzoo.metrics.roads import RoadEvaluator


def test_figures_are_those_of_all_pixels_of_all_images():
    rng = np.random.default_rng(0)
    truths = [
        rng.choice([0, 1, 2, 3, 255], shape, p=[0.3, 0.3, 0.1, 0.2, 0.1]) for shape in ((20, 30), (7, 5))
    ]
    found = [(rng.random(t.shape) < 0.5, rng.random(t.shape) < 0.2) for t in truths]
    evaluator = RoadEvaluator()
    for truth, (drivable, lanes) in zip(truths, found, strict=True):
        evaluator.update(truth.astype(np.uint8), drivable, lanes)
    result = evaluator.result()
    for figures, values, place in ((result.drivable, (1, 3), 0), (result.lanes, (2, 3), 1)):
        known = np.concatenate([(t != 255).ravel() for t in truths])
        true = np.concatenate([np.isin(t, values).ravel() for t in truths])[known]
        predicted = np.concatenate([pair[place].ravel() for pair in found])[known]
        ious = [(a & b).sum() / (a | b).sum() for a, b in ((true, predicted), (~true, ~predicted))]
        assert figures.pixels == true.sum()
        assert figures.iou == pytest.approx(ious[0]) and figures.mean_iou == pytest.approx(np.mean(ious))
        assert figures.recall == pytest.approx((true & predicted).sum() / true.sum())
        assert figures.precision == pytest.approx((true & predicted).sum() / predicted.sum())


def test_what_is_nowhere_is_nan():
    evaluator = RoadEvaluator()
    nothing = np.zeros((2, 2), np.uint8)
    evaluator.update(nothing, nothing, nothing)
    lanes = evaluator.result().lanes
    assert np.isnan([lanes.iou, lanes.recall, lanes.precision]).all() and lanes.mean_iou == 1


def test_maps_of_another_size_are_refused():
    with pytest.raises(ValueError, match="predict at the image's own size"):
        RoadEvaluator().update(np.zeros((2, 2), np.uint8), np.zeros((2, 3)), np.zeros((2, 2)))
