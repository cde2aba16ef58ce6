"""Branches that are added are one convolution after training, and compute the same."""

import keras
import numpy as np
import pytest
from keras import layers

import kzoo
from kzoo.deploy.inference import inference_model
from kzoo.layers.folding import folded_network
from kzoo.layers.reparameterize import branched_conv, merged_network

RNG = np.random.default_rng(0)


def trained(network):
    """A network whose normalisations have seen something."""
    for layer in network.layers:
        if layer.weights:
            layer.set_weights([RNG.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return network


def merged(network):
    return merged_network(folded_network(network))


def names(network):
    return {layer.name for layer in network.layers if layer.weights}


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("identity", [False, True])
def test_one_convolution_computes_what_the_branches_did(stride, identity):
    inputs = keras.Input((None, None, 8))
    x = branched_conv(inputs, 8, "first", stride, identity)
    network = trained(keras.Model(inputs, branched_conv(x, 16, "second", identity=identity)))
    once = merged(network)
    assert names(once) == {"first_dense_conv", "second_dense_conv"}
    assert once.count_params() == 9 * 8 * (8 + 16) + 8 + 16
    pixels = RNG.normal(size=(2, 12, 16, 8)).astype("float32")
    before, after = (keras.ops.convert_to_numpy(each(pixels)) for each in (network, once))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
    assert ("first_identity" in names(network)) == (identity and stride == 1)


def test_sums_of_other_maps_stay():
    inputs = keras.Input((None, None, 4))

    def conv(x, name, size=3, **arguments):
        return layers.Conv2D(4, size, padding="same", name=name, **arguments)(x)

    x = conv(inputs, "first")
    sums = [
        layers.Add()([conv(x, "of_x"), conv(inputs, "of_images", 1)]),  # two maps
        layers.Add()([conv(x, "bent", activation="relu"), conv(x, "straight", 1)]),
        layers.Add()([conv(x, "wide", dilation_rate=2), conv(x, "narrow", 1)]),
        # At a stride TensorFlow pads the larger kernel at its end, the smaller one nowhere.
        layers.UpSampling2D()(layers.Add()([conv(x, "a", 3, strides=2), conv(x, "b", 1, strides=2)])),
        layers.Add()([x, conv(x, "residual")]),
    ]
    network = keras.Model(inputs, layers.Concatenate()(sums))
    assert merged_network(network) is network


def test_a_model_that_is_exported_has_no_branches():
    keras.utils.set_random_seed(0)
    model = kzoo.build("yolov7", num_classes=3, image_size=(64, 64), width=0.125, depth=0.25)
    trained_norms = [layer for layer in model.network.layers if hasattr(layer, "moving_mean")]
    for layer in trained_norms:
        layer.set_weights([RNG.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    ready = inference_model(model)
    assert any("point" in name for name in names(model.network))
    assert not any("point" in name or "_bn" in name for name in names(ready.network))
    images = RNG.integers(0, 256, (1, 64, 64, 3), np.uint8)
    before, after = model(images, training=False), ready(images, training=False)
    for level in before:
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(after[level]),
            keras.ops.convert_to_numpy(before[level]),
            rtol=1e-4,
            atol=1e-4,
        )


@pytest.mark.slow
def test_yolov7_has_the_parameters_of_its_authors_when_it_is_folded():
    model = kzoo.build("yolov7")
    assert merged(model.network).count_params() + model.head.count_params() == 36_905_341
