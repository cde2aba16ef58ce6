"""The softmax's focal loss against Keras's own."""

import keras
import numpy as np
import pytest

from kzoo.losses import softmax_focal_loss


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_equals_keras(gamma, alpha):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (6, 7)).astype(np.float32)
    true = np.eye(7, dtype=np.float32)[rng.integers(0, 7, 6)] * 0.9 + 0.1 / 7
    wanted = keras.losses.categorical_focal_crossentropy(
        true, logits, alpha=1.0 if alpha is None else alpha, gamma=gamma, from_logits=True
    )
    np.testing.assert_allclose(softmax_focal_loss(true, logits, gamma, alpha), wanted, rtol=1e-5)


def test_large_logits_stay_finite():
    loss = softmax_focal_loss(np.float32([[1, 0]]), np.float32([[-500, 500]]), gamma=0.0)
    assert float(loss[0]) == 1000
