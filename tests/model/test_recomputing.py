"""Gradient checkpointing: the same training, by less memory."""

import keras
import numpy as np
import pytest
from keras import layers

from kzoo.heads.yolo import YoloHead
from kzoo.model import ZooModel, images_input
from kzoo.model.recomputing import Recomputed


def made():
    """A detector with statistics, chance and a branch that skips several layers."""
    keras.utils.set_random_seed(0)
    inputs, x = images_input()
    for _ in range(5):
        x = layers.Conv2D(8, 3, strides=2, padding="same")(x)
        x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    skipped = x
    for _ in range(3):
        x = layers.Dropout(0.3)(layers.Conv2D(8, 3, padding="same", activation="relu")(x))
    network = keras.Model(inputs, [layers.Add()([x, skipped])], name="network")
    return ZooModel(network, YoloHead(3, [[8, 8], [14, 14]], [32], name="head"), (64, 64))


def scene():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 64, 64, 3), np.uint8)
    boxes = np.tile(np.float32([[8, 8, 30, 40], [20, 4, 60, 50]]), (4, 1, 1))
    return images, {"boxes": boxes, "labels": np.tile(np.int32([0, 2]), (4, 1))}


def trained(checkpoint: bool, steps: int = 3):
    model = made()
    model.checkpoint_gradients = checkpoint
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9))
    losses = [float(model.train_on_batch(*scene(), return_dict=True)["loss"]) for _ in range(steps)]
    return losses, [keras.ops.convert_to_numpy(one) for one in model.variables]


@pytest.mark.long
def test_weights_statistics_and_chance_are_those_of_a_training_without():
    (losses, variables), (plain_losses, plain) = trained(True), trained(False)
    np.testing.assert_allclose(losses, plain_losses, rtol=1e-5)
    for value, expected in zip(variables, plain, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


def test_every_layer_is_in_one_stretch():
    model = made()
    nodes = [node for stretch in Recomputed(model.network).stretches for node in stretch]
    layers_there = [one for one in model.network.layers if not isinstance(one, layers.InputLayer)]
    assert sorted(node.operation.name for node in nodes) == sorted(one.name for one in layers_there)
    assert len(Recomputed(model.network).stretches) > 3


@pytest.mark.parametrize("checkpoint", [False, True])
def test_nothing_of_it_is_in_what_a_model_says_of_itself(checkpoint):
    model = made()
    model.checkpoint_gradients = checkpoint
    assert "checkpoint_gradients" not in model.get_config()
