"""Colour changes, measured against albumentations; and the wrapper around albumentations itself."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from kzoo.augment import Albumentations, ColorJitter, Distort, adjust_color
from kzoo.structures import Sample

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
albumentations = pytest.importorskip("albumentations")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    noise = np.random.default_rng(0).integers(60, 190, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(noise, (96, 64), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("factor", [0.6, 0.9, 1.2])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_equals_albumentations(image, name, factor):
    exact = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
    exact[name] = (factor, factor)
    theirs = albumentations.ColorJitter(**exact, p=1)(image=image)["image"]
    ours = adjust_color(image, **{name: factor})
    assert np.abs(ours.astype(int) - theirs).max() <= 2


def test_hue_turns_colours_and_leaves_luma_and_grey():
    red = np.full((4, 4, 3), (160, 80, 80), np.uint8)
    turned = adjust_color(red, hue=1 / 3)
    assert turned[0, 0].argmax() == 1, "a third of a turn takes red to green"
    assert (
        abs(int(cv2.cvtColor(turned, cv2.COLOR_RGB2GRAY)[0, 0]) - cv2.cvtColor(red, cv2.COLOR_RGB2GRAY)[0, 0])
        <= 1
    )
    grey = np.full((4, 4, 3), 90, np.uint8)
    np.testing.assert_allclose(adjust_color(grey, hue=0.2, saturation=0.3), grey, atol=1)


def test_no_change_is_exact(image):
    np.testing.assert_array_equal(adjust_color(image), image)
    sample = Sample(image)
    assert ColorJitter(p=0.0)(np.random.default_rng(0), sample) is sample


def test_jitter_keeps_boxes_and_the_original(image):
    before = image.copy()
    sample = Sample(image, [[1, 2, 3, 4]], [5], difficult=[True], id="x")
    jittered = ColorJitter()(np.random.default_rng(3), sample)
    assert jittered.image.dtype == np.uint8 and (jittered.image != image).any()
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(jittered.boxes, sample.boxes)
    assert jittered.id == "x" and jittered.difficult.all()


def test_jitter_is_within_its_bounds(image):
    means = [
        ColorJitter(brightness=0.3, contrast=0, saturation=0, hue=0)(
            np.random.default_rng(i), Sample(image)
        ).image.mean()
        / image.mean()
        for i in range(200)
    ]
    assert 0.69 < min(means) < 0.75 and 1.22 < max(means) < 1.31


def test_distortions_come_by_themselves(image):
    """Half of the pictures are brighter or darker, half have other colours, and so on, each apart from the others."""
    only = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    for name in only:
        chosen = Distort(**{**only, name: 0.4})
        same = []
        for seed in range(200):
            changed = chosen(np.random.default_rng(seed), Sample(image)).image
            # The channels may be exchanged besides, in which case they are the same in another order.
            same.append(np.array_equal(np.sort(changed, axis=2), np.sort(image, axis=2)))
        assert 0.4 < np.mean(same) < 0.62, name
    orders = [
        Distort(**only)(np.random.default_rng(seed), Sample(image)).image[0, 0].tolist()
        for seed in range(300)
    ]
    found = {tuple(order) for order in orders}
    assert len(found) == 6 and 0.5 < np.mean([order == image[0, 0].tolist() for order in orders]) < 0.67


def test_distortion_is_within_its_bounds_and_leaves_the_original(image):
    before = image.copy()
    means = [
        Distort(brightness=0.3, contrast=0, saturation=0, hue=0, p=1.0)(
            np.random.default_rng(seed), Sample(image)
        ).image.mean()
        / image.mean()
        for seed in range(200)
    ]
    assert 0.69 < min(means) < 0.75 and 1.22 < max(means) < 1.31
    np.testing.assert_array_equal(image, before)
    assert Distort(p=0.0)(np.random.default_rng(0), sample := Sample(image)) is sample
    with pytest.raises(ValueError, match=r"distort: hue=0\.7; give a number from 0 to 0\.5"):
        Distort(hue=0.7)


def flipping() -> Albumentations:
    return Albumentations(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Affine(scale=(0.7, 1.3), translate_percent=(-0.3, 0.3), p=1),
            albumentations.GaussNoise(p=0.5),
        ]
    )


def numbered(image, count: int) -> Sample:
    points = np.random.default_rng(count).uniform(0, (96, 64), (count, 2, 2))
    boxes = np.concatenate([points.min(1), points.max(1) + 1], 1).clip(0, (96, 64, 96, 64))
    return Sample(image, boxes, np.arange(count), difficult=np.arange(count) % 2 == 0)


@pytest.mark.parametrize("count", [0, 1, 30, 300])
def test_wrapper_follows_the_generator(image, count):
    wrapped, sample = flipping(), numbered(image, count)
    first = wrapped(np.random.default_rng(7), sample)
    wrapped(np.random.default_rng(8), sample)
    again = wrapped(np.random.default_rng(7), sample)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert first.boxes.shape == (len(first.labels), 4) and first.boxes.dtype == np.float32
    np.testing.assert_array_equal(first.difficult, first.labels % 2 == 0)
    assert (first.boxes >= 0).all() and (first.boxes <= (96, 64, 96, 64)).all()


def test_wrapper_in_threads_and_processes_is_the_same(image):
    wrapped, sample = flipping(), numbered(image, 20)
    alone = [wrapped(np.random.default_rng(i), sample) for i in range(40)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda i: wrapped(np.random.default_rng(i), sample), range(40)))
    copied = pickle.loads(pickle.dumps(wrapped))
    for i, (one, other) in enumerate(zip(alone, together, strict=True)):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.image, copied(np.random.default_rng(i), sample).image)


def test_wrapper_moves_masks_with_their_boxes(image):
    masks = np.zeros((2, 64, 96), bool)
    masks[0, 10:20, 10:30] = masks[1, 40:60, 50:90] = True
    semantic = (masks[0] + 2 * masks[1]).astype(np.uint8)
    sample = Sample(image, [[10, 10, 30, 20], [50, 40, 90, 60]], [0, 1], masks=masks, mask=semantic)
    flipped = Albumentations(albumentations.HorizontalFlip(p=1))(np.random.default_rng(0), sample)
    np.testing.assert_array_equal(flipped.masks, masks[:, :, ::-1])
    np.testing.assert_array_equal(flipped.mask, semantic[:, ::-1])
    np.testing.assert_allclose(flipped.boxes, [[66, 10, 86, 20], [6, 40, 46, 60]], atol=1e-3)
