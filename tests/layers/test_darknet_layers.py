"""Darknet's own layers as Keras's: saved and loaded, in half precision, of any size, trained, exported."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kzoo
from kzoo import darknet
from kzoo.darknet.sections import ACTIVATIONS
from kzoo.layers.activations import activate, activation_of
from kzoo.layers.darknet_maps import ChannelGroup, First, Reorg, Shortcut
from kzoo.layers.darknet_windows import Convolution, LocallyConnected, Pool


def twice(**how):
    """A convolution that is called in two ways."""
    conv = Convolution(6, 3, name="twice", **how)
    return lambda x: conv(conv(x, padding=1), strides=(2, 1), dilation=2, padding=2)


# What is built, of what inputs (height, width, channels), to what shape.
LAYERS = {
    "convolution, called twice": (lambda: twice(), [(8, 12, 6)], (4, 12, 6)),
    "convolution, groups, no bias": (lambda: twice(groups=2, use_bias=False), [(8, 12, 6)], (4, 12, 6)),
    "max pool": (lambda: Pool("max", 3, (2, 1), 2), [(8, 12, 4)], (4, 12, 4)),
    "max pool, no padding": (lambda: Pool("max", 3, (2, 2), 0), [(8, 12, 4)], (3, 5, 4)),
    "average pool": (lambda: Pool("average", 3, (2, 2), 2), [(8, 12, 4)], (4, 6, 4)),
    "first": (lambda: First(), [(8, 12, 4), (4, 6, 2)], (8, 12, 4)),
    "reorg": (lambda: Reorg(2), [(8, 12, 8)], (4, 6, 32)),
    "reorg3d": (lambda: Reorg(4, True), [(8, 12, 3)], (2, 3, 48)),
    "channel group": (lambda: ChannelGroup(3, 1), [(8, 12, 6)], (8, 12, 2)),
    "locally connected": (lambda: LocallyConnected(5, 3, 2, 1), [(8, 12, 4)], (4, 6, 5)),
    "shortcut, weighted": (lambda: Shortcut([1], 1, "softmax"), [(8, 12, 4), (8, 12, 6)], (8, 12, 4)),
    "shortcut, by channel": (lambda: Shortcut([1, 1], 6, "relu"), [(8, 12, 6), (8, 12, 4), (8, 12, 8)], (8, 12, 6)),
    "shortcut, sampled": (lambda: Shortcut([2]), [(4, 6, 4), (8, 12, 6)], (4, 6, 4)),
    "shortcut, spread": (lambda: Shortcut([-2]), [(8, 12, 4), (4, 6, 6)], (8, 12, 4)),
}  # fmt: skip
FIXED = {"locally connected"}
every_layer = pytest.mark.parametrize("name", LAYERS)


def single(parts):
    """As layers take it: a list of several, or the one."""
    return list(parts) if len(parts) > 1 else parts[0]


def network(name, sides_known=True):
    make, shapes, _ = LAYERS[name]
    inputs = single([keras.Input(shape if sides_known else (None, None, shape[2])) for shape in shapes])
    model = keras.Model(inputs, make()(inputs))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.1, 1, weight.shape))
    return model


def values(name, scale=1):
    rng = np.random.default_rng(1)
    return [
        rng.normal(0, 2, (2, rows * scale, columns * scale, channels)).astype(np.float32)
        for rows, columns, channels in LAYERS[name][1]
    ]


@every_layer
def test_shape_and_a_file(name, tmp_path):
    model, x = network(name), single(values(name))
    assert model.output.shape[1:] == LAYERS[name][2]
    wanted = np.asarray(model(x))
    assert wanted.shape == (2, *LAYERS[name][2]) and np.ptp(wanted) > 0.1
    model.save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(np.asarray(again(x)), wanted)


@every_layer
def test_half_precision(name):
    x = single(values(name))
    wanted = np.asarray(network(name)(x))
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network(name)
        got = model(x)
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(got.dtype) == "float16"
    assert all(keras.backend.standardize_dtype(weight.dtype) == "float32" for weight in model.weights)
    np.testing.assert_allclose(np.asarray(got, np.float32), wanted, atol=0.01 * np.abs(wanted).max())


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in FIXED])
def test_sides_that_are_not_known(name):
    model = network(name, sides_known=False)
    specs = [tf.TensorSpec((None, None, None, x.shape[3])) for x in model.inputs]
    traced = tf.function(lambda *x: model(single(x)), input_signature=specs)
    for scale in (1, 2):
        x = values(name, scale)
        np.testing.assert_allclose(traced(*x), np.asarray(model(single(x))), atol=1e-5)


@every_layer
def test_gradients(name):
    model = network(name)
    x = [tf.convert_to_tensor(part) for part in values(name)]
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(model(single(x)) ** 2)
    gradients = tape.gradient(loss, [*x, *(weight.value for weight in model.trainable_weights)])
    if name == "first":
        assert gradients.pop(1) is None
    for gradient in gradients:
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_a_pool_takes_no_padding_for_the_largest():
    x = np.full((1, 4, 4, 1), -7.0, np.float32)
    for policy in ("float32", "float16"):
        np.testing.assert_array_equal(np.asarray(Pool("max", 3, (1, 1), 2, dtype=policy)(x)), x)
    np.testing.assert_allclose(np.asarray(Pool("average", 3, (1, 1), 2)(x)), x, rtol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_known_again(activation, tmp_path):
    x = keras.Input((5,))
    model = keras.Model(x, activate(x, activation, "act"))
    if activation == "linear":
        assert model.output is x
        return
    model.save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    for one in (model, again):
        assert activation_of(one.get_layer("act")) == activation
    given = np.linspace(-6, 6, 40, dtype=np.float32).reshape(8, 5)
    np.testing.assert_array_equal(again(given), model(given))


def test_activations_of_keras_by_other_means():
    layers = keras.layers
    for layer, known in (
        (layers.ReLU(), "relu"),
        (layers.ReLU(max_value=6), "relu6"),
        (layers.ReLU(max_value=4), None),
        (layers.ReLU(negative_slope=0.2), None),
        (layers.LeakyReLU(0.1), "leaky"),
        (layers.LeakyReLU(0.3), None),
        (layers.Activation("softplus"), None),
        (layers.Dropout(0.1), None),
    ):
        assert activation_of(layer) == known


CONV = "[convolutional]\nfilters={}\nsize=3\npad=1\nactivation={}\n"
EVERYTHING = f"""\
[net]
width=24
height=16
{CONV.format(8, "mish")}batch_normalize=1
{CONV.format(8, "hardswish")}groups=2
{CONV.format(16, "swish")}groups=8
{CONV.format(8, "hard_mish")}
{CONV.format(8, "loggy")}dilation=2
stride=2
[convolutional]
filters=8
size=3
pad=1
share_index=4
dilation=2
activation=selu
[shortcut]
from=0
[upsample]
stride=2
[shortcut]
from=4
activation=relu6
[shortcut]
from=0,-2
weights_type=per_channel
weights_normalization=softmax
{CONV.format(2, "relu")}
[route]
layers=-2
[reorg3d]
stride=2
[reorg]
stride=2
[route]
layers=-1
groups=2
group_id=1
[maxpool]
size=3
stride=1
padding=0
[local_avgpool]
size=3
stride=2
[local]
filters=3
size=3
pad=1
activation=gelu
[connected]
output=7
activation=linear
[softmax]
"""


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A network with all of them."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("everything") / "everything.cfg"
    path.write_text(EVERYTHING)
    model = darknet.load(path)
    kinds = {type(layer).__name__ for layer in model.network.layers}
    assert kinds >= {"ChannelGroup", "Convolution", "LocallyConnected", "Pool", "Reorg", "Shortcut", "First"}
    return model


@pytest.mark.slow
@pytest.mark.parametrize("place", ["everything/1", "everything.tflite", "everything.onnx"])
def test_exports_compute_the_same(place, everything, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), np.uint8)
    wanted = everything.predict(images, verbose=0)
    assert np.ptp(wanted["scores"]) > 0.05
    got = kzoo.load(kzoo.export(everything, tmp_path / place)).predict(images)
    np.testing.assert_allclose(got["scores"], wanted["scores"], atol=1e-5)
    np.testing.assert_array_equal(got["label"], wanted["label"])


def test_it_trains(everything):
    model = keras.models.clone_model(everything.network)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(images, training=True) ** 2)
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        # Nothing uses the tenth layer.
        assert (gradient is None) == variable.path.startswith("layer10_"), variable.path
        assert gradient is None or np.isfinite(gradient).all(), variable.path
