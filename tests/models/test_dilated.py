"""Dilated convolutions: fields of view, grids, the context module and the network made of them."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from shapes_only import shapes_only

import kzoo
from kzoo.layers.context import context_module
from kzoo.layers.dilated import check_rates, dilated_block

SMALL = {"num_classes": 3, "width": 0.125, "depth": 0.5, "image_size": (64, 64)}


def seen(network, side):
    """Which pixels the middle one of the result depends on, by an impulse at each."""
    response = ops.convert_to_numpy(network(np.eye(side * side, dtype="float32").reshape(-1, side, side, 1)))
    return (response[:, side // 2, side // 2, 0] > 0).reshape(side, side)


@pytest.mark.parametrize("rates", [(1, 2, 5), (1, 2, 3), (1, 1), (2, 2), (2, 4), (2, 3), (1, 2, 9)])
def test_grids_are_told_from_dense_views(rates):
    side = 2 * sum(rates) + 1
    inputs = keras.Input((side, side, 1))
    network = keras.Model(inputs, dilated_block(inputs, 1, rates, "block"))
    for layer in network.layers[1:]:
        layer.set_weights([np.ones(layer.kernel.shape), np.zeros(1)])
    dense = seen(network, side).all()
    if dense:
        check_rates(rates)
    else:
        with pytest.raises(ValueError, match="falls through the grid"):
            check_rates(rates)
    assert dense == (rates in ((1, 2, 5), (1, 2, 3), (1, 1)))


@pytest.mark.parametrize("rates", [(), (0, 1), (-1,)])
def test_rates_are_positive(rates):
    with pytest.raises(ValueError, match="give dilations of 1 or more"):
        check_rates(rates)


@pytest.mark.parametrize("size", ["basic", "large"])
def test_the_context_module_begins_as_identity(size):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 4))
    network = keras.Model(inputs, context_module(inputs, size))
    x = np.random.default_rng(0).uniform(0, 3, (1, 40, 33, 4)).astype("float32")
    out = ops.convert_to_numpy(network(x))
    # The noise beside the identity is small; without noise nothing changes.
    limit = 1e-6 if size == "basic" else 0.5
    np.testing.assert_allclose(out, x, atol=limit)
    assert np.corrcoef(out.ravel(), x.ravel())[0, 1] > 0.99


def test_the_context_module_sees_67_pixels():
    """Table 1: the receptive field grows to 67x67 with 3x3 kernels."""
    inputs = keras.Input((71, 71, 1))
    network = keras.Model(inputs, context_module(inputs, "basic"))
    for layer in network.layers[1:]:
        layer.set_weights([np.full(layer.kernel.shape, 0.5), np.zeros(1)])
    x = np.zeros((1, 71, 71, 1), np.float32)
    x[0, 35, 35] = 1
    # An impulse spreads over what a pixel sees, the kernels being symmetric.
    touched = np.argwhere(ops.convert_to_numpy(network(x))[0, ..., 0] > 0)
    assert touched.min() == 35 - 33 and touched.max() == 35 + 33 and len(touched) == 67 * 67


@pytest.mark.parametrize("size", ["basic", "large"])
def test_parameters(size):
    classes = 21
    inputs = keras.Input((None, None, classes))
    # Kernels and biases by table 1.
    widths = [1] * 8 if size == "basic" else [2, 2, 4, 8, 16, 32, 32, 1]
    channels = [classes, *(w * classes for w in widths)]
    wanted = sum((9 if i < 7 else 1) * a * b + b for i, (a, b) in enumerate(itertools.pairwise(channels)))
    with shapes_only():
        outputs = context_module(inputs, size)
    assert keras.Model(inputs, outputs).count_params() == wanted


@pytest.mark.parametrize("context", [None, "basic", "large"])
def test_stride_8_without_the_last_poolings(context):
    keras.utils.set_random_seed(0)
    model = kzoo.build("dilated8", context=context, **SMALL)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 72, 3), np.uint8)
    assert model.network(images).shape == (2, 8, 9, 3)
    assert model(images)["logits"].shape == (2, 64, 72, 3)
    assert model.network.get_layer("backbone_fc6").dilation_rate == (4, 4)
    assert model.network.get_layer("backbone_block5_conv1").dilation_rate == (2, 2)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"context": "huge"}, "context='huge'; give 'basic' or 'large'"),
        ({"rates": (1, 2)}, r"rates=\(1, 2\): the context module has seven"),
        ({"hybrid": (2, 2, 2)}, "falls through the grid"),
        ({"image_size": (64, 60)}, "multiples of 8"),
    ],
)
def test_what_is_not_possible_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        kzoo.build("dilated8", **{**SMALL, **arguments})
