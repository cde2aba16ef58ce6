"""U-Net's weight map, against distances that SciPy measures."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, label

import kzoo.data
from kzoo.augment import TRANSFORMS, BorderWeights, Compose
from kzoo.augment.border import two_nearest
from kzoo.structures import IGNORED, Sample


def blobs(seed: int, count: int, size=(90, 120)) -> np.ndarray:
    """(N, H, W) bool: ellipses, some of which overlap or touch."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    rows = [(rng.uniform(0, size[0]), rng.uniform(0, size[1]), *rng.uniform(2, 12, 2)) for _ in range(count)]
    masks = np.array([((y - cy) / a) ** 2 + ((x - cx) / b) ** 2 < 1 for cy, cx, a, b in rows])
    return masks.reshape(-1, *size)


def sample_of(masks: np.ndarray, instances: bool = True) -> Sample:
    count, height, width = masks.shape
    return Sample(
        np.zeros((height, width, 3), np.uint8),
        np.tile([0.0, 0.0, 1.0, 1.0], (count, 1)) if instances else None,
        np.ones(count, int) if instances else None,
        masks=masks if instances else None,
        mask=masks.any(axis=0).astype(np.uint8),
    )


def brute_force(masks: np.ndarray, w0: float, sigma: float) -> np.ndarray:
    """Equation 2 with w_c = 1: the distance of every pixel to every object."""
    weights = np.ones(masks.shape[1:])
    if len(masks) >= 2:
        nearest = np.sort([distance_transform_edt(~mask) for mask in masks], axis=0)
        ground = ~masks.any(axis=0)
        weights[ground] += (w0 * np.exp(-((nearest[0] + nearest[1]) ** 2) / (2 * sigma**2)))[ground]
    return weights


@pytest.mark.parametrize("seed, count", [(0, 25), (1, 2), (2, 1), (3, 0), (4, 60)])
@pytest.mark.parametrize("w0, sigma", [(10.0, 5.0), (3.0, 2.0), (10.0, 40.0)])
def test_equals_a_brute_force(seed, count, w0, sigma):
    masks = blobs(seed, count)
    masks = masks[masks.any(axis=(1, 2))]
    found = BorderWeights(w0, sigma)(None, sample_of(masks)).pixel_weights
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, brute_force(masks, w0, sigma), atol=2e-5 * w0)
    if count > 2:
        assert found.max() > 1.5 and found[masks.any(axis=0)].max() == 1.0


def test_distances_are_exact():
    masks = blobs(0, 25)
    nearest, second = two_nearest((mask.view(np.uint8) for mask in masks), masks.shape[1:])
    expected = np.sort([distance_transform_edt(~mask) for mask in masks], axis=0)
    np.testing.assert_allclose(nearest, expected[0], atol=1e-4)
    np.testing.assert_allclose(second, expected[1], atol=1e-4)


def test_without_instances_the_connected_parts_are_the_objects():
    masks = blobs(5, 12)
    sample = sample_of(masks, instances=False)
    sample.mask[:, :30][sample.mask[:, :30] == 1] = 2  # another class, which touches the first
    sample.mask[:8] = IGNORED
    objects = []
    for value in (1, 2):
        numbers, count = label(sample.mask == value, np.ones((3, 3)))
        objects += [numbers == number for number in range(1, count + 1)]
    expected = brute_force(np.array(objects), 10.0, 5.0)
    assert len(objects) > 4
    np.testing.assert_allclose(BorderWeights()(None, sample).pixel_weights, expected, atol=2e-4)


def test_classes_are_balanced_by_their_frequency():
    compute_class_weight = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    rng = np.random.default_rng(0)
    mask = rng.choice(3, (50, 60), p=[0.7, 0.2, 0.1]).astype(np.uint8)
    shares = tuple(np.bincount(mask.ravel()) / mask.size)
    sample = Sample(np.zeros((50, 60, 3), np.uint8), mask=mask)
    found = BorderWeights(w0=0.0, frequencies=shares)(None, sample).pixel_weights
    expected = compute_class_weight("balanced", classes=np.arange(3), y=mask.ravel())
    np.testing.assert_allclose(found, expected[mask], rtol=1e-5)
    assert found.mean() == pytest.approx(1.0, rel=1e-4)


def test_it_follows_all_geometry():
    masks = blobs(0, 12, (64, 64))
    sample = sample_of(masks)
    sample.boxes = np.tile(np.float32([0, 0, 64, 64]), (len(masks), 1))
    compose = Compose([{"border_weights": {"sigma": 4.0}}, {"flip": {"p": 1.0}}])
    assert compose.weighted
    placed = compose(np.random.default_rng(0), sample, (64, 64))
    np.testing.assert_array_equal(placed.mask, sample.mask[:, ::-1])
    expected = BorderWeights(sigma=4.0)(None, sample).pixel_weights[:, ::-1]
    np.testing.assert_allclose(placed.pixel_weights, expected, atol=1e-4)
    assert sample.pixel_weights is None


def test_batches_have_the_weights():
    dataset = kzoo.data.load("shapes:4:64", masks=True, task="segment")
    loader = kzoo.data.batches(dataset, 64, 4, ["border_weights"], shuffle=False)
    _, targets = next(iter(loader))
    assert targets["weights"].shape == targets["mask"].shape == (4, 64, 64)
    assert targets["weights"].dtype == np.float32 and targets["weights"].max() > 1.0
    np.testing.assert_allclose(targets["weights"][1], brute_force(dataset[1].masks, 10.0, 5.0), atol=2e-4)


@pytest.mark.parametrize(
    "arguments, message",
    [({"sigma": 0.0}, "more than 0"), ({"w0": -1.0}, "0 or more"), ({"frequencies": (0.5, 0.0)}, "above 0")],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"border_weights: .*{message}"):
        TRANSFORMS["border_weights"](**arguments)


def test_samples_it_cannot_weigh():
    plain = Sample(np.zeros((8, 8, 3), np.uint8), id="a")
    with pytest.raises(ValueError, match="image 'a': border_weights needs a semantic mask"):
        BorderWeights()(None, plain)
    plain.mask = np.full((8, 8), 2, np.uint8)
    with pytest.raises(ValueError, match="has 2 frequencies and the mask a class 2"):
        BorderWeights(frequencies=(0.5, 0.5))(None, plain)
