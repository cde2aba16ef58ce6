"""Synthetic images with semantic masks."""

import numpy as np
import pytest

import kzoo.data
from kzoo.data.formats.shapes import make_splits


def test_ground_and_three_shapes():
    dataset = kzoo.data.load("shapes:6:64", "val", task="segment")
    assert dataset.semantic and dataset.classes == ["background", "circle", "rectangle", "triangle"]
    assert len(dataset) == 1 and len(kzoo.data.load("shapes:6:64", task="segment")) == 6


def test_the_mask_is_that_of_the_instances():
    dataset = kzoo.data.load("shapes:8:64", masks=True, task="segment")
    boxes = kzoo.data.load("shapes:8:64", masks=True)
    for index in range(8):
        sample, plain = dataset[index], boxes[index]
        expected = np.zeros((64, 64), np.uint8)
        for mask, label in zip(plain.masks, plain.labels, strict=True):
            expected[mask] = label + 1
        assert sample.mask.dtype == np.uint8 and plain.mask is None
        np.testing.assert_array_equal(sample.mask, expected)
        np.testing.assert_array_equal(dataset.mask(index), expected)  # from run lengths
        np.testing.assert_array_equal(sample.image, plain.image)
        np.testing.assert_array_equal(sample.labels, plain.labels + 1)
        np.testing.assert_array_equal(dataset.record(index).labels, plain.labels + 1)
    assert kzoo.data.load("shapes:8:64", task="segment")[0].masks is None


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_splits_of_a_task(task):
    parts = make_splits(8, (48, 48), task=task)
    assert {part: dataset.semantic for part, dataset in parts.items()} == dict.fromkeys(
        parts, task == "segment"
    )
