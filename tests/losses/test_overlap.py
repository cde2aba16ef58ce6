"""Dice, Jaccard and Tversky against Keras's own and against their formulas in NumPy."""

import keras
import numpy as np
import pytest

from kzoo.losses import dice, dice_generalized, jaccard, tversky


def scene(classes=4, seed=0, size=(3, 6, 5), ignored=0.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, max(classes, 2), size).astype(np.uint8)
    labels[rng.random(size) < ignored] = 255
    return labels, rng.normal(0, 2, (*size, classes)).astype(np.float32)


def regions(labels, logits):
    """One-hot labels and probabilities, float64, of the pixels that count: (N, C) each."""
    counted = labels != 255
    odds = np.exp(logits[counted].astype(float))
    return np.eye(logits.shape[-1])[labels[counted]], odds / odds.sum(-1, keepdims=True)


def probabilities(logits):
    return np.asarray(keras.ops.softmax(logits) if logits.shape[-1] > 1 else keras.ops.sigmoid(logits))


def true_of(labels, classes):
    return np.eye(max(classes, 2), dtype=np.float32)[labels][..., -classes:]


@pytest.mark.parametrize("classes", [1, 2, 4])
@pytest.mark.parametrize(("reduction", "axis"), [("batch", (0, 1, 2)), ("image", (1, 2))])
def test_dice_equals_keras(classes, reduction, axis):
    labels, logits = scene(classes)
    wanted = np.mean(keras.losses.dice(true_of(labels, classes), probabilities(logits), axis=axis))
    assert float(dice(labels, logits, smooth=0.0, reduction=reduction)) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("classes", [1, 2, 4])
@pytest.mark.parametrize(("reduction", "axis"), [("batch", (0, 1, 2)), ("image", (1, 2))])
@pytest.mark.parametrize(("alpha", "beta"), [(0.7, 0.3), (0.1, 0.9)])
def test_tversky_equals_keras(classes, reduction, axis, alpha, beta):
    labels, logits = scene(classes)
    each = keras.losses.tversky(true_of(labels, classes), probabilities(logits), alpha, beta, axis=axis)
    options = {"alpha": alpha, "beta": beta, "smooth": 0.0, "reduction": reduction}
    assert float(tversky(labels, logits, **options)) == pytest.approx(np.mean(each), abs=1e-6)
    focal = np.mean(np.asarray(each) ** 0.75)
    assert float(tversky(labels, logits, gamma=0.75, **options)) == pytest.approx(focal, abs=1e-6)


def test_alpha_weighs_what_is_missed():
    labels = np.uint8([[[1, 1, 0, 0]]])
    nothing, everything = np.full((1, 1, 4, 1), -9, np.float32), np.full((1, 1, 4, 1), 9, np.float32)
    options = {"alpha": 0.9, "beta": 0.1, "smooth": 1.0}
    # Two are missed: 1 - 1 / (.9 * 2 + 1); two are wrong: 1 - (2 + 1) / (2 + .1 * 2 + 1).
    assert float(tversky(labels, nothing, **options)) == pytest.approx(1 - 1 / 2.8, abs=1e-3)
    assert float(tversky(labels, everything, **options)) == pytest.approx(1 - 3 / 3.2, abs=1e-3)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_jaccard_and_squared_dice_by_their_formulas(smooth):
    labels, logits = scene(ignored=0.2)
    true, probability = regions(labels, logits)
    overlap, union = (true * probability).sum(0), (true + probability - true * probability).sum(0)
    wanted = 1 - np.mean((overlap + smooth) / (union + smooth))
    assert float(jaccard(labels, logits, smooth=smooth)) == pytest.approx(wanted, abs=1e-6)
    squares = (true**2 + probability**2).sum(0)
    wanted = 1 - np.mean((2 * overlap + smooth) / (squares + smooth))
    assert float(dice(labels, logits, squared=True, smooth=smooth)) == pytest.approx(wanted, abs=1e-6)


def test_generalised_dice_by_its_formula():
    labels, logits = scene(ignored=0.2)
    labels[labels == 2] = 0
    labels[0, 0, 0] = 2
    true, probability = regions(labels, logits)
    weights = 1 / true.sum(0) ** 2
    overlap, total = weights @ (true * probability).sum(0), weights @ (true + probability).sum(0)
    assert float(dice_generalized(labels, logits)) == pytest.approx(1 - 2 * overlap / total, abs=1e-6)
    # Class 1 is absent: its weight would have no end.
    labels[labels == 1] = 0
    true, probability = regions(labels, logits)
    weights = np.array([1 / n**2 if n else 0 for n in true.sum(0)])
    overlap, total = weights @ (true * probability).sum(0), weights @ (true + probability).sum(0)
    assert float(dice_generalized(labels, logits)) == pytest.approx(1 - 2 * overlap / total, abs=1e-6)


def test_generalised_dice_of_one_channel_has_two_classes():
    labels, logits = scene(1)
    two = np.concatenate([np.zeros_like(logits), logits], -1)
    assert float(dice_generalized(labels, logits)) == pytest.approx(
        float(dice_generalized(labels, two)), abs=1e-6
    )


def test_of_each_image():
    labels, logits = scene(ignored=0.2)
    labels[1][labels[1] == 3] = 0
    for loss in (dice, dice_generalized, jaccard, tversky):
        each = [float(loss(labels[i : i + 1], logits[i : i + 1])) for i in range(3)]
        # The mean over the images' classes: one of them has three.
        shares = [1, 1, 1] if loss is dice_generalized else [4, 3, 4]
        wanted = np.average(each, weights=shares)
        assert float(loss(labels, logits, reduction="image")) == pytest.approx(wanted, abs=1e-6)


def test_absent_classes():
    labels, logits = scene()
    labels[labels == 3] = 0
    three = [float(keras.losses.dice(labels == c, probabilities(logits)[..., c])) for c in range(3)]
    assert float(dice(labels, logits, smooth=0.0)) == pytest.approx(np.mean(three), abs=1e-6)
    # Kept, it is wrong as a whole.
    assert float(dice(labels, logits, smooth=0.0, classes="all")) == pytest.approx(
        np.mean([*three, 1]), abs=1e-6
    )
    # The sigmoid's only class stays, and smoothing tells nothing found from something found.
    labels, sure = np.zeros((1, 4, 4), np.uint8), np.full((1, 4, 4, 1), 9, np.float32)
    assert float(dice(labels, -sure)) < 0.01
    assert float(dice(labels, sure)) == pytest.approx(16 / 17, abs=1e-3)


def test_without_the_background():
    labels, logits = scene()
    wanted = np.mean(
        [float(keras.losses.dice(labels == c, probabilities(logits)[..., c])) for c in (1, 2, 3)]
    )
    assert float(dice(labels, logits, smooth=0.0, background=False)) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("loss", [dice, dice_generalized, jaccard, tversky])
def test_ignored_pixels_have_no_part(loss):
    labels, logits = scene(ignored=0.3)
    other = logits.copy()
    other[labels == 255] = 77.0
    assert float(loss(labels, logits)) == float(loss(labels, other))
    assert float(loss(labels, logits)) != float(loss(np.where(labels == 255, 0, labels), logits))


@pytest.mark.parametrize("loss", [dice, dice_generalized, jaccard, tversky])
@pytest.mark.parametrize("classes", [1, 4])
def test_perfect_and_perfectly_wrong(loss, classes):
    labels, _ = scene(classes)
    right = 50 * (2 * true_of(labels, classes) - 1)
    assert float(loss(labels, right)) == pytest.approx(0, abs=1e-5)
    assert float(loss(labels, -right)) > 0.6


def test_options_that_are_no_choice():
    labels, logits = scene()
    with pytest.raises(ValueError, match="reduction is 'images'; it is batch or image"):
        dice_generalized(labels, logits, reduction="images")
    with pytest.raises(ValueError, match="classes is 'some'; it is present or all"):
        jaccard(labels, logits, classes="some")
