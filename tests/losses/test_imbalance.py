"""A foreground of one hundredth of the pixels: what is learned of it in 80 steps."""

import keras
import numpy as np
import pytest

from kzoo.losses import PixelLoss

# Over six seeds dice scores .94 to .98 (after 60 steps), focal .88 to .98, and cross-entropy 0, also after 120.
SIDE, SQUARE = 64, 6
STEPS, BATCH, IMAGES = 80, 8, 32


def noisy_squares(seed):
    """Images (32, 64, 64, 1) of noise of deviation 1, each with one square that is 3 brighter, and its mask."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((IMAGES, SIDE, SIDE), np.uint8)
    for mask in masks:
        row, column = rng.integers(0, SIDE - SQUARE, 2)
        mask[row : row + SQUARE, column : column + SQUARE] = 1
    images = rng.normal(0, 1, masks.shape) + 3.0 * masks
    return images[..., None].astype(np.float32), masks


def learned_dice(spec, seed=0):
    """Dice of the foreground in new images, by a small network trained with the loss."""
    keras.utils.set_random_seed(seed)
    images, masks = noisy_squares(seed + 100)
    layer = keras.layers.Conv2D
    network = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layer(8, 5, padding="same", activation="relu"),
            layer(8, 3, padding="same", activation="relu"),
            layer(8, 3, padding="same", activation="relu"),
            layer(1, 1),
        ]
    )
    loss = PixelLoss(spec)
    network.compile(
        keras.optimizers.Adam(1e-2), loss=lambda true, logits: sum(loss(true[..., 0], logits).values())
    )
    network.fit(images, masks[..., None], batch_size=BATCH, epochs=STEPS * BATCH // IMAGES, verbose=0)
    images, masks = noisy_squares(seed + 200)
    found = network.predict(images, verbose=0)[..., 0] > 0
    return 2 * np.count_nonzero(found & (masks == 1)) / (np.count_nonzero(found) + np.count_nonzero(masks))


def test_the_foreground_is_one_hundredth():
    assert noisy_squares(0)[1].mean() == pytest.approx(0.01, abs=0.002)


@pytest.mark.long
@pytest.mark.parametrize("spec", ["dice", {"focal": {"alpha": 0.9}}])
def test_dice_and_focal_learn_it(spec):
    assert learned_dice(spec) > 0.8


@pytest.mark.long
def test_cross_entropy_does_not():
    assert learned_dice("ce") < 0.2
