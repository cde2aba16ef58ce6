"""Powers, and loops over numbers that TensorFlow compiles, come to what the plain operations do."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.ops import fused
from kzoo.ops.assign.task_aligned import task_aligned
from kzoo.ops.powers import power


@pytest.mark.parametrize("exponent", [0.5, 1, 2, 3.0, 6.0, 7, 8, 0, 1.7, 9.0])
def test_powers(exponent):
    values = np.random.default_rng(0).uniform(0, 2, (5, 7)).astype(np.float32)
    np.testing.assert_allclose(ops.convert_to_numpy(power(values, exponent)), values**exponent, rtol=1e-5)


@pytest.mark.long
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends compile all or nothing")
def test_a_compiled_loop_assigns_as_the_plain_operations(monkeypatch):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 90, (2, 6, 2))
    boxes = np.float32(np.concatenate([corner, corner + rng.uniform(5, 60, corner.shape)], -1))
    labels = np.int32(rng.integers(-1, 3, (2, 6)))
    points = np.float32(np.stack(np.meshgrid(np.arange(4, 128, 8), np.arange(4, 128, 8)), -1).reshape(-1, 2))
    corner = points + rng.uniform(-20, -5, (2, *points.shape))
    predicted = np.float32(np.concatenate([corner, corner + rng.uniform(10, 40, corner.shape)], -1))
    scores = np.float32(rng.uniform(0, 1, (2, len(points), 3)))

    @tf.function
    def assigned(*given):
        return list(vars(task_aligned(*given)).values())

    given = [tf.constant(one) for one in (scores, predicted, points, boxes, labels)]
    plain = [one.numpy() for one in assigned(*given)]
    compiled = []
    monkeypatch.setattr(fused, "FEW", 0)
    function = tf.function
    monkeypatch.setattr(
        tf, "function", lambda *a, **options: compiled.append(options) or function(*a, **options)
    )
    again = function(assigned.python_function)
    for one, other in zip(plain, again(*given), strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-5, atol=1e-6)
    assert [options["jit_compile"] for options in compiled] == [True] and plain[1].sum() > 20
