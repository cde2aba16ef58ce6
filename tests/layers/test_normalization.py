import keras
import numpy as np
import pytest

from kzoo.layers.normalization import FusedBatchNormalization


def trained(layer, x, weights):
    """Output, gradients of input, scale and offset, and statistics after a step of training, for one layer."""
    import tensorflow as tf

    layer.build(x.shape)
    layer.gamma.assign(np.linspace(0.5, 2, x.shape[-1]))
    layer.beta.assign(np.linspace(-1, 1, x.shape[-1]))
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(tf.cast(y, "float32") * weights)
    gradients = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
    return [y, *gradients, layer.moving_mean, layer.moving_variance]


@pytest.mark.parametrize("policy, tolerance", [("float32", 1e-5), ("mixed_bfloat16", 1e-5), ("float64", 0)])
@pytest.mark.parametrize("shape", [(4, 6, 5, 3), (1, 1, 1, 3), (8, 3)])
def test_a_step_of_training_is_that_of_keras(policy, tolerance, shape):
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, shape).astype("float32")
    weights = rng.normal(size=shape).astype("float32")
    options = {"momentum": 0.9, "epsilon": 1e-3, "dtype": policy}
    ours = trained(FusedBatchNormalization(**options), x, weights)
    keras_own = trained(keras.layers.BatchNormalization(**options), x, weights)
    for one, other in zip(ours, keras_own, strict=True):
        assert one.dtype == other.dtype
        one, other = (keras.ops.convert_to_numpy(keras.ops.cast(v, "float64")) for v in (one, other))
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * max(1, np.abs(other).max()))


@pytest.mark.parametrize("options", [{"center": False}, {"scale": False}, {"axis": 1}, {"trainable": False}])
def test_what_is_not_fused_is_that_of_keras(options):
    x = np.random.default_rng(1).normal(size=(2, 4, 4, 4)).astype("float32")
    ours, keras_own = FusedBatchNormalization(**options), keras.layers.BatchNormalization(**options)
    np.testing.assert_array_equal(ours(x, training=True), keras_own(x, training=True))
    np.testing.assert_array_equal(ours(x, training=False), keras_own(x, training=False))
    np.testing.assert_array_equal(ours.moving_variance, keras_own.moving_variance)


def test_a_batch_of_any_size_is_normalised_in_a_graph():
    import tensorflow as tf

    layer = FusedBatchNormalization()
    layer.build((None, None, None, 3))
    step = tf.function(
        lambda x: layer(x, training=True), input_signature=[tf.TensorSpec((None, None, None, 3))]
    )
    y = step(np.random.default_rng(2).normal(5, 3, (2, 7, 4, 3)).astype("float32"))
    np.testing.assert_allclose(np.mean(y, (0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(np.var(y, (0, 1, 2)), 1, atol=1e-3)
