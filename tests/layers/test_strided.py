"""1x1 convolutions with a stride, of few channels, leave the skipping to a layer before them."""

import keras
import numpy as np
import pytest
from samples import convolutions_beyond_memory

import kzoo
from kzoo.layers.residual import conv_bn
from kzoo.layers.strided import seen_pixels


@pytest.mark.parametrize("sides", [(8, 6), (7, 9), (1, 2)])
@pytest.mark.parametrize("strides", [(2, 2), (1, 2), (3, 2)])
def test_the_pixels_are_those_that_a_convolution_sees(sides, strides):
    x = np.random.default_rng(0).normal(size=(2, *sides, 5)).astype("float32")
    seen, left = seen_pixels(keras.ops.convert_to_tensor(x), 1, strides, "pick")
    assert left == (1, 1)
    identity = np.eye(5, dtype="float32")[None, None]
    np.testing.assert_array_equal(seen, keras.ops.conv(x, identity, strides, "same"))


def test_others_are_left_as_they_are():
    few, many = np.zeros((1, 4, 4, 8), "float32"), np.zeros((1, 4, 4, 16), "float32")
    for x, size, strides in ((few, 3, (2, 2)), (few, 1, (1, 1)), (many, 1, (2, 2))):
        assert seen_pixels(x, size, strides, "pick") == (x, strides)


@pytest.mark.parametrize("channels", [3, 8, 16])
def test_a_narrow_shortcut_computes_the_same(channels):
    inputs = keras.Input((None, None, channels))
    network = keras.Model(inputs, conv_bn(inputs, 6, 1, "short_{}", 2, activation=False))
    assert not list(convolutions_beyond_memory(network))
    x = np.random.default_rng(0).normal(size=(2, 9, 12, channels)).astype("float32")
    kernel = np.asarray(network.get_layer("short_conv").kernel)[0, 0]
    np.testing.assert_allclose(network(x), x[:, ::2, ::2] @ kernel / np.sqrt(1 + 1e-5), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("width", [0.125, 1.0])
@pytest.mark.parametrize("name", ["yolov6n", "resnet18"])
def test_networks_have_none(name, width):
    assert not list(convolutions_beyond_memory(kzoo.build(name, width=width, image_size=(64, 64))))
