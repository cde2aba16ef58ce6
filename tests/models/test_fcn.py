"""FCN: decoders, bilinear initialisation, sizes."""

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.layers.bilinear import transposed

SMALL = {"num_classes": 3, "width": 0.125, "depth": 0.5, "image_size": (64, 64)}


def build(name="fcn8", **arguments):
    keras.utils.set_random_seed(0)
    return kzoo.build(name, **{**SMALL, **arguments})


@pytest.mark.parametrize("up", ["transposed", "upsampling"])
@pytest.mark.parametrize("name, scored", [("fcn32", 1), ("fcn16", 2), ("fcn8", 3)])
def test_scores_come_from_one_to_three_levels(name, scored, up):
    model = build(name, up=up)
    names = [layer.name for layer in model.network.layers if layer.name.startswith("neck_score")]
    assert names == ["neck_score_conv7", "neck_score_pool4", "neck_score_pool3"][:scored]
    assert model(np.zeros((2, 96, 64, 3), np.uint8))["logits"].shape == (2, 96, 64, 3)


@pytest.mark.parametrize("factor", [2, 8, 32])
def test_transposed_convolutions_begin_as_bilinear_interpolation(factor):
    """Inside; at the border they see zeros beyond it where interpolation repeats the last value."""
    inputs = keras.Input((6, 5, 3))
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype("float32")
    ours = ops.convert_to_numpy(keras.Model(inputs, transposed(inputs, factor, "up"))(x))
    wanted = ops.convert_to_numpy(ops.image.resize(x, (6 * factor, 5 * factor), "bilinear"))
    half = factor // 2
    inside = (slice(None), slice(half, -half), slice(half, -half))
    np.testing.assert_allclose(ours[inside], wanted[inside], atol=1e-5)
    assert ours.shape == wanted.shape


def test_both_decoders_begin_alike():
    """With the same scores, away from the border."""
    first, second = build(up="transposed"), build(up="upsampling")
    rng = np.random.default_rng(0)
    for layer in second.network.layers:
        if layer.weights:
            scores = layer.name.startswith("neck_score")
            weights = [rng.normal(0, 0.1, w.shape) if scores else w for w in layer.get_weights()]
            layer.set_weights(weights)
            first.network.get_layer(layer.name).set_weights(weights)
    images = rng.integers(0, 256, (1, 192, 192, 3), np.uint8)
    ours, theirs = (ops.convert_to_numpy(model(images)["logits"]) for model in (first, second))
    middle = (slice(None), slice(64, 128), slice(64, 128))
    assert theirs[middle].std() > 0.01
    np.testing.assert_allclose(ours[middle], theirs[middle], atol=1e-4)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"up": "nearest"}, "up='nearest', stride=8; give transposed or upsampling, and 8, 16 or 32"),
        ({"stride": 4}, "stride=4"),
        ({"image_size": (64, 80)}, "multiples of 32"),
        ({"names": ["a"]}, "1 names for num_classes=3"),
    ],
)
def test_what_is_not_possible_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        build(**arguments)


@pytest.mark.parametrize("name", ["fcn8", "dilated8", "fcn-resnet50"])
def test_one_channel_for_two_classes(name):
    model = build(name, num_classes=2, binary=True, width=0.25)
    images = np.zeros((1, 64, 64, 3), np.uint8)
    assert model(images)["logits"].shape == (1, 64, 64, 1)
    assert model.predict(images, verbose=0)["probabilities"].shape == (1, 64, 64, 2)
