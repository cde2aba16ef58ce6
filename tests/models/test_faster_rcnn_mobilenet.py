"""Faster R-CNN on MobileNetV3: its maps, its anchors, and what the proposals' threshold does."""

import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.models.faster_rcnn_mobilenet import mobile_anchors

IMAGES = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)


def small(**options):
    return kzoo.build(
        "faster-rcnn-mobilenet", num_classes=3, width=0.25, depth=0.34, image_size=(64, 64), **options
    )


@pytest.fixture(scope="module")
def model():
    return small()


def test_two_maps_are_of_one_size_and_regions_are_pooled_from_the_first(model):
    maps = model.features(IMAGES)
    assert [tuple(x.shape[1:3]) for x in maps] == [(2, 3), (2, 3), (1, 2)]
    outputs = model.head(maps)
    np.testing.assert_array_equal(outputs["features_stride32"], maps[0])
    assert [name for name in outputs if name.startswith("features")] == ["features_stride32"]


def test_every_level_has_five_sizes_in_three_ratios(model):
    levels = mobile_anchors()
    assert len(levels) == 3 and levels[0] == levels[1] == levels[2]
    areas = np.prod(levels[0], axis=-1).reshape(3, 5)
    np.testing.assert_allclose(areas, [[32**2, 64**2, 128**2, 256**2, 512**2]] * 3, rtol=0.04)
    assert model.head(model.features(IMAGES))["rpn_box_stride32_2"].shape[-1] == 4 * 15


@pytest.mark.parametrize(("threshold", "some"), [(0.3, True), (0.7, False)])
def test_a_proposal_has_to_be_likely(model, threshold, some):
    """The logits of an untrained network are near 0, of a probability of a half."""
    head = model.head.altered(rpn_score_threshold=threshold)
    maps = model.features(IMAGES)
    head.build([x.shape for x in maps])
    boxes = ops.convert_to_numpy(head.rpn.propose(head.rpn(maps), 100, 50)[0])
    assert (boxes[..., 2] > boxes[..., 0]).any() == some
