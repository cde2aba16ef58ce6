"""What is done to pixels alone, beside OpenCV doing the same; and albumentations' transforms by name."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painting import assert_mask_follows_image, assert_sound, painted

from kzoo.augment.compose import transforms
from kzoo.augment.degrade import Clahe, Gamma, GaussianBlur, Gray, Jpeg, MedianBlur, MotionBlur, Noise
from kzoo.augment.named import FromAlbumentations
from kzoo.data.formats.shapes import Shapes
from kzoo.data.loading.loader import batches
from kzoo.structures import Sample

ALL = [kind(p=1.0) for kind in (Clahe, Gamma, GaussianBlur, Gray, Jpeg, MedianBlur, MotionBlur, Noise)]
ALL += [FromAlbumentations("Sharpen", p=1.0), FromAlbumentations("RandomToneCurve", {"scale": 0.3}, p=1.0)]
names = pytest.mark.parametrize("transform", ALL, ids=lambda t: getattr(t, "name", type(t).__name__))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    noise = np.random.default_rng(0).integers(30, 220, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(noise, (96, 72), interpolation=cv2.INTER_CUBIC)


def applied(transform, image, seed: int = 0) -> np.ndarray:
    return transform(np.random.default_rng(seed), Sample(image)).image


@names
@given(st.integers(0, 10**6), st.tuples(st.integers(1, 90), st.integers(1, 90)), st.integers(0, 300))
@settings(max_examples=12, deadline=None)
def test_boxes_and_masks_are_left_alone(transform, seed, shape, count):
    before = painted(seed, *shape, count, masks=count < 20)
    copy = before.image.copy()
    after = transform(np.random.default_rng(seed), before)
    assert_sound(after, shape, before)
    for field in ("boxes", "labels", "masks", "mask", "difficult", "crowd"):
        np.testing.assert_array_equal(getattr(after, field), getattr(before, field))
    np.testing.assert_array_equal(before.image, copy, "the original is not written to")
    again = transform(np.random.default_rng(seed), before)
    np.testing.assert_array_equal(again.image, after.image)


@names
def test_another_seed_another_picture(transform, image):
    image = np.tile(image, (4, 4, 1))  # CLAHE counts its limit in whole pixels of a tile
    results = {applied(transform, image, seed).tobytes() for seed in range(8)}
    assert image.tobytes() not in results
    assert len(results) >= {Gray: 1, MedianBlur: 2}.get(type(transform), 4)


@names
def test_threads_and_copies_give_the_same(transform, image):
    expected = [applied(transform, image, seed) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda seed: applied(transform, image, seed), range(16))
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one, other)
    copy = pickle.loads(pickle.dumps(transform))
    assert copy == transform
    np.testing.assert_array_equal(applied(copy, image, 3), expected[3])


@pytest.mark.parametrize("kind", [Gray, GaussianBlur, Noise])
def test_share_of_samples(kind, image):
    share = np.mean([(applied(kind(p=0.3), image, seed) != image).any() for seed in range(300)])
    assert 0.2 < share < 0.4
    sample = Sample(image)
    assert kind(p=0.0)(np.random.default_rng(0), sample) is sample
    # What follows draws the same, applied or not.
    rngs = [np.random.default_rng(0), np.random.default_rng(0)]
    kind(p=0.0)(rngs[0], sample), kind(p=1.0)(rngs[1], sample)
    assert rngs[0].random() == rngs[1].random()


def test_gray_is_luma(image):
    expected = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    for channel in np.moveaxis(applied(Gray(p=1.0), image), 2, 0):
        np.testing.assert_array_equal(channel, expected)


def test_gaussian_blur_equals_opencv(image):
    for sigma in (0.7, 2.0):
        expected = cv2.GaussianBlur(image, (0, 0), sigma).astype(int)
        assert np.abs(applied(GaussianBlur((sigma, sigma), p=1.0), image) - expected).max() <= 2


def test_median_blur_equals_opencv(image):
    np.testing.assert_array_equal(applied(MedianBlur((5, 5), p=1.0), image), cv2.medianBlur(image, 5))


def test_motion_blur_does_not_move_the_picture():
    image = np.zeros((61, 61, 3), np.uint8)
    image[28:33, 28:33] = 255
    rows, columns = np.mgrid[:61, :61]
    for seed in range(60):
        blurred = applied(MotionBlur((9, 15), p=1.0), image, seed)[..., 0].astype(float)
        middle = (blurred * rows).sum() / blurred.sum(), (blurred * columns).sum() / blurred.sum()
        np.testing.assert_allclose(middle, (30, 30), atol=0.6)
        assert blurred.max() < 255


def test_noise_has_the_stated_deviation():
    flat = np.full((200, 200, 3), 128, np.uint8)
    change = applied(Noise((0.05, 0.05), p=1.0), flat).astype(float) - 128
    assert change.std() == pytest.approx(0.05 * 255, rel=0.05) and abs(change.mean()) < 0.3
    assert np.abs(np.corrcoef(change.reshape(-1, 3).T) - np.eye(3)).max() < 0.03


def test_jpeg_equals_opencv(image):
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])
    expected = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(applied(Jpeg((40, 40), p=1.0), image), expected)


def test_gamma_is_a_power(image):
    expected = 255 * (image / 255.0) ** 1.5
    assert np.abs(applied(Gamma((1.5, 1.5), p=1.0), image) - expected).max() <= 1.01


def test_clahe_raises_contrast():
    ramp = np.tile(np.linspace(110, 140, 96).astype(np.uint8)[None, :, None], (96, 1, 3))
    assert applied(Clahe((4.0, 4.0), p=1.0), ramp).std() > 1.3 * ramp.std()


def test_by_name_as_from_a_file():
    plain = [
        {"gaussian_blur": {"sigma": [1.0, 2.0]}},
        {"albumentations": {"name": "Sharpen", "p": 0.1}},
        "jpeg",
    ]
    assert transforms(plain) == [GaussianBlur([1.0, 2.0]), FromAlbumentations("Sharpen", p=0.1), Jpeg()]
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for kind in (GaussianBlur, Noise, Gamma, Clahe):
        name = {GaussianBlur: "sigma", Noise: "std", Gamma: "gamma", Clahe: "limit"}[kind]
        for pair in ((1.0, 1.0), [1.0, 1.0]):
            assert applied(kind(**{name: pair, "p": 1.0}), image).shape == image.shape


def test_batches_are_the_same_with_workers():
    chosen = [
        "ssd_crop",
        "perspective",
        *({name: {"p": 0.5}} for name in ("noise", "jpeg", "median_blur", "gray", "random_erasing")),
        {"albumentations": {"name": "ElasticTransform"}},
    ]
    dataset = Shapes(8, (64, 64), masks=True)
    alone, helped = (list(batches(dataset, 64, 2, chosen, seed=1, workers=n)) for n in (0, 3))
    assert len(alone) == 4
    for (images, targets), (again, same) in zip(alone, helped, strict=True):
        np.testing.assert_array_equal(images, again)
        for name, value in targets.items():
            np.testing.assert_array_equal(value, same[name])


def test_pictures_of_floats_are_refused():
    with pytest.raises(ValueError, match="Normalize gives float32"):
        FromAlbumentations("Normalize", p=1.0)(np.random.default_rng(0), painted(0, 20, 30, 2))


def test_one_that_moves_pixels_takes_boxes_and_masks_along():
    before = painted(3, 40, 60, 6, least=4)
    flipped = FromAlbumentations("HorizontalFlip", p=1.0)(np.random.default_rng(0), before)
    np.testing.assert_array_equal(flipped.image, before.image[:, ::-1])
    np.testing.assert_array_equal(flipped.masks, before.masks[..., ::-1])
    np.testing.assert_array_equal(flipped.mask, before.mask[:, ::-1])
    np.testing.assert_allclose(flipped.boxes[:, [0, 2]], 60 - before.boxes[:, [2, 0]], atol=1e-3)


def test_one_that_leaves_the_picture_shows_ground_and_ignores_it():
    for seed in range(20):
        before = painted(seed, 40, 60, seed % 4, least=8)
        turned = FromAlbumentations("Rotate", {"limit": [30, 60]}, p=1.0)(np.random.default_rng(seed), before)
        assert_sound(turned, (40, 60), before)
        assert_mask_follows_image(turned)
        assert (turned.mask == 255).any() and not turned.masks[:, turned.mask == 255].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianBlur((2.0, 1.0)), "gaussian_blur: sigma=.*the smaller first"),
        (lambda: MedianBlur((3, 6)), "median_blur: size=.*two odd numbers"),
        (lambda: MotionBlur((3.0, 5.0)), "two whole numbers from 3"),
        (lambda: Noise((0.1, 1.5)), "noise: std"),
        (lambda: Jpeg((0, 50)), "jpeg: quality"),
        (lambda: Gray(p=2), "gray: p=2"),
        (lambda: Clahe(tiles=0), "clahe: tiles=0; give a whole number from 1 to 64"),
        (lambda: Gamma("ab"), "gamma: gamma='ab'"),
        (lambda: FromAlbumentations("Sharpn"), "no transform 'Sharpn'; did you mean Sharpen"),
        (lambda: FromAlbumentations("Compose"), "no transform 'Compose'"),
        (lambda: FromAlbumentations("Sharpen", {"alfa": 1}), "Sharpen takes no 'alfa'; it takes alpha"),
        (lambda: FromAlbumentations("Sharpen", {"p": 1}), "takes no 'p'"),
        (lambda: FromAlbumentations("Sharpen", {"alpha": "x"}), "albumentations: Sharpen: "),
        (lambda: transforms([{"albumentations": {}}]), "augment: albumentations: .*name"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as refused:
        make()
    assert "\n" not in str(refused.value)
