"""Deformable attention: places within, at the edge and outside of maps, as recorded of the authors' own code."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.layers.deformable_attention import DeformableAttention, Places, outwards, sampled

SIZES = [(5, 7), (3, 4)]


def recorded(shared, name):
    return np.load(shared / "golden" / "detr" / f"{name}.npz")


def gradients(function, inputs, upstream):
    """The gradient of sum(function(*inputs) * upstream) by each input, on whichever backend."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.grad(lambda *x: (function(*x) * upstream).sum(), tuple(range(len(inputs))))(*inputs)
    if backend == "torch":
        import torch

        tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
        return torch.autograd.grad((function(*tensors) * torch.tensor(upstream)).sum(), tensors)
    import tensorflow as tf

    tensors = [tf.constant(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(function(*tensors) * upstream)
    return [tf.convert_to_tensor(x) for x in tape.gradient(total, tensors)]


@pytest.mark.parametrize(
    ("name", "points"), [("deformable_attention", (3, 3)), ("deformable_attention_v2", (3, 2))]
)
def test_sums_and_gradients_are_those_recorded(shared, name, points):
    known = recorded(shared, name)
    places = Places(SIZES, points, heads=2)
    flat = (2, 6, 2 * sum(points))
    inputs = known["value"], known["locations"].reshape(*flat, 2), known["weights"].reshape(flat)

    def function(value, locations, weights):
        return sampled(value, places, locations, weights)

    tensors = [ops.convert_to_tensor(each) for each in inputs]
    np.testing.assert_allclose(ops.convert_to_numpy(function(*tensors)), known["output"], atol=1e-5)
    for given, wanted in zip(
        gradients(function, inputs, known["upstream"]),
        ("grad_value", "grad_locations", "grad_weights"),
        strict=True,
    ):
        wanted = known[wanted]
        np.testing.assert_allclose(
            ops.convert_to_numpy(given).reshape(wanted.shape), wanted, atol=1e-5, rtol=1e-5
        )


def test_discrete_places_are_rounded_as_recorded(shared):
    known = recorded(shared, "deformable_attention_v2")
    places = Places(SIZES, (3, 2), heads=2)
    locations, weights = known["locations"].reshape(2, 6, 10, 2), known["weights"].reshape(2, 6, 10)
    inputs = [ops.convert_to_tensor(each) for each in (known["value"], locations, weights)]
    given = sampled(inputs[0], places, *inputs[1:], method="discrete")
    np.testing.assert_allclose(ops.convert_to_numpy(given), known["output_discrete"], atol=1e-5)


def test_heads_look_their_own_ways_at_first():
    ways = outwards(8, (4, 4)).reshape(8, 2, 4, 2)
    np.testing.assert_allclose(ways[0, 0, 0], (1, 0), atol=1e-6)
    np.testing.assert_allclose(ways[1, 1, 3], (4, 4), atol=1e-6)
    np.testing.assert_allclose(ways[2, 0, 1], (0, 2), atol=1e-6)


def test_at_the_beginning_a_box_is_seen_in_equal_shares():
    layer = DeformableAttention(16, heads=2, points=2, levels=2)
    layer.build()
    rng = np.random.default_rng(0)
    query, values = (rng.normal(size=(1, count, 16)).astype("float32") for count in (3, 5 * 7 + 3 * 4))
    references = np.full((1, 3, 1, 4), (0.5, 0.5, 0.25, 0.25), "float32")
    given = ops.convert_to_numpy(layer(query, references, values, sizes=SIZES))
    assert given.shape == (1, 3, 16)
    # Whatever the query is: its weights begin with zeros.
    np.testing.assert_allclose(given[0, 0], given[0, 1], atol=1e-6)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method='cubic'; give one of bilinear, discrete"):
        DeformableAttention(16, heads=2, method="cubic")
