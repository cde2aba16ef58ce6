"""Convolutions side by side are one after training, and compute the same."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.deploy.inference import inference_model
from kzoo.layers.folding import folded_network
from kzoo.layers.repvgg import RepConv, rep_conv

RNG = np.random.default_rng(0)


def trained(network):
    """A network whose normalisations have seen something."""
    for variable in network.variables:
        variable.assign(RNG.uniform(0.5, 1.5, variable.shape))
    return network


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("identity", [False, True])
def test_one_convolution_computes_what_all_did(stride, identity):
    inputs = keras.Input((None, None, 8))
    x = rep_conv(inputs, 8, "first", stride, identity)
    network = trained(keras.Model(inputs, rep_conv(x, 16, "second", identity=identity)))
    once = folded_network(network)
    assert not any(isinstance(layer, RepConv) for layer in once.layers)
    assert once.count_params() == 9 * 8 * (8 + 16) + 8 + 16
    pixels = RNG.normal(size=(2, 12, 16, 8)).astype("float32")
    before, after = (keras.ops.convert_to_numpy(each(pixels)) for each in (network, once))
    assert before.shape == (2, 12 // stride, 16 // stride, 16)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
    assert network.get_layer("first_rep").identity == (identity and stride == 1)


def test_what_goes_in_is_not_added_where_it_has_other_channels():
    with pytest.raises(ValueError, match="identity=False"):
        RepConv(8, identity=True)(np.zeros((1, 4, 4, 3), np.float32))


@pytest.mark.long
@pytest.mark.parametrize("name", ["yolov6n", "yolov7"])
def test_a_model_that_is_exported_has_one_convolution(name):
    keras.utils.set_random_seed(0)
    model = kzoo.build(name, num_classes=3, image_size=(64, 64), width=0.125, depth=0.25)
    ready = inference_model(model)
    kinds = [
        [layer for layer in each.network.layers if isinstance(layer, RepConv)] for each in (model, ready)
    ]
    assert kinds[0] and not kinds[1]
    images = RNG.integers(0, 256, (1, 64, 64, 3), np.uint8)
    before, after = model(images, training=False), ready(images, training=False)
    for level in before:
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(after[level]),
            keras.ops.convert_to_numpy(before[level]),
            rtol=1e-4,
            atol=1e-4,
        )


def test_a_saved_network_has_it_again(tmp_path):
    inputs = keras.Input((None, None, 4))
    network = trained(keras.Model(inputs, rep_conv(inputs, 4, "only", identity=True)))
    network.save(tmp_path / "network.keras")
    pixels = RNG.normal(size=(1, 6, 6, 4)).astype("float32")
    again = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(again(pixels), network(pixels))
