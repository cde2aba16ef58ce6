"""What a region shows of a mask, against pooling by hand and the mask itself."""

import json

import numpy as np
import pytest
from keras import ops

from kzoo.ops.region_masks import masks_under


def under(*arguments, **options):
    return ops.convert_to_numpy(masks_under(*arguments, **options))


def test_a_region_on_the_box_itself_shows_the_mask():
    masks = np.random.default_rng(0).uniform(size=(1, 2, 14, 14)).astype("float32")
    boxes = np.float32([[[3, 5, 17, 19], [20.5, 8.25, 34.5, 22.25]]])
    np.testing.assert_allclose(under(masks, boxes, boxes, 14, (40, 50), aligned=True), masks, atol=1e-5)


def test_bytes_count_as_shares():
    masks = np.random.default_rng(0).integers(0, 256, (1, 1, 8, 8), np.uint8)
    boxes, regions = np.float32([[[2, 2, 30, 20]]]), np.float32([[[5, 1, 28, 25]]])
    shares = under(masks.astype("float32") / 255, boxes, regions, 7, (32, 32))
    np.testing.assert_allclose(under(masks, boxes, regions, 7, (32, 32)), shares, atol=1e-6)
    assert shares.min() == 0 and 0.5 < shares.max() <= 1


def test_beyond_the_box_there_is_nothing():
    masks = np.ones((1, 1, 8, 8), "float32")
    shown = under(
        masks, np.float32([[[8, 8, 16, 16]]]), np.float32([[[0, 0, 32, 32]]]), 8, (32, 32), aligned=True
    )
    wanted = np.zeros((8, 8))
    wanted[2:4, 2:4] = 1
    np.testing.assert_allclose(shown[0, 0], wanted, atol=0.13)  # edges are half a pixel wide
    assert shown[0, 0].sum() == pytest.approx(4, abs=1e-4)


def test_equals_torchvision_s_targets(shared):
    golden = json.loads((shared / "golden" / "roi.json").read_text())["mask_targets"]
    mask, regions = np.float32(golden["mask"][0]), np.float32([golden["boxes"]])  # (10, 14), (1, 2, 4)
    square = np.zeros((1, 2, 14, 14), "float32")  # of a box as wide and as high as the image is wide
    square[:, :, :10] = mask
    boxes = np.float32([[[0, 0, 14, 14]] * 2])
    shown = under(square, boxes, regions, golden["size"], mask.shape)[0]
    np.testing.assert_allclose(shown, golden["targets"], atol=1e-5)
