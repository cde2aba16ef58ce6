"""Backbones that keep their weights, for the whole training or for its first epochs.

A frozen backbone runs as in prediction: its batch normalisation keeps the statistics that its weights were trained
with, and that the layers behind it rely on. Once released it is trained like every other layer, and its statistics
follow the new images, whose colours are seldom those of ImageNet. Layers that a model keeps frozen by itself, such as
RetinaNet's normalisation on pretrained weights, stay so.
"""

from __future__ import annotations

import keras
from keras import ops

from kzoo.model import BACKBONE, ZooModel, backbone_layers
from kzoo.options.forms import ALL
from kzoo.training import devices
from kzoo.training.config import TrainConfig
from kzoo.training.optimizers import averages, exclude_from_decay, inner_optimizer


def trained_backbone(model: ZooModel) -> list[str]:
    """Names of the backbone's layers that are trained."""
    return [layer.name for layer in backbone_layers(model) if layer.trainable]


def freeze(model: ZooModel, config: TrainConfig) -> None:
    """Freezes the backbone where the options ask for it, before the optimizer is made.

    Raises:
        ValueError: the options speak of a backbone, and the model has none.
    """
    if (config.freeze_backbone or config.backbone_rate != 1) and not backbone_layers(model):
        raise ValueError(f"{model.name}: has no backbone; leave freeze_backbone and backbone_rate out")
    if config.freeze_backbone:
        set_trainable(model, trained_backbone(model), False)


def described(config: TrainConfig) -> str:
    """What happens to the backbone, as a line to print; nothing where it is trained like all else."""
    if config.freeze_backbone == ALL:
        return "backbone: keeps its weights and statistics"
    rate = "" if config.backbone_rate == 1 else f"trained at {config.backbone_rate:g} of the learning rate"
    if not config.freeze_backbone:
        return f"backbone: {rate}" if rate else ""
    return f"backbone: keeps its weights and statistics for {config.freeze_backbone} epochs, then {rate or 'trained'}"


class Release(keras.callbacks.Callback):
    """Trains the frozen layers, too, from an epoch on.

    Args:
        epochs: number of epochs in which they are frozen.
        frozen: names of the layers.
    """

    def __init__(self, epochs: int, frozen: list[str]):
        super().__init__()
        self.epochs, self.frozen = epochs, frozen

    def on_epoch_begin(self, epoch, logs=None):
        if epoch >= self.epochs and not all(layer.trainable for layer in _named(self.model, self.frozen)):
            release(self.model, self.frozen)


def release(model: ZooModel, names: list[str]) -> None:
    """Trains layers that were frozen, and goes on with an optimizer that knows them.

    What the optimizer knows of the other weights is kept to the last bit. Averages of the released weights begin with
    the weights themselves.

    Args:
        model: a compiled model.
        names: names of the layers.
    """
    set_trainable(model, names, True)
    with devices.strategy_of(model):
        model.optimizer = _widened(model.optimizer, model)
    exclude_from_decay(model)
    model.make_train_function(force=True)


def _widened(optimizer, model: ZooModel):
    """An optimizer for all trained weights of the model that goes on from the state of one for some of them."""
    settings = keras.optimizers.serialize(optimizer)
    inner = settings["config"].get("inner_optimizer", settings)["config"]
    inner["since"] = {
        **inner["since"],
        BACKBONE: int(ops.convert_to_numpy(inner_optimizer(optimizer).iterations)),
    }
    wider = keras.optimizers.deserialize(settings)
    wider.build(model.trainable_variables)
    for variable, average in averages(wider):
        average.assign(variable)
    known = {variable.path: variable for variable in optimizer.variables}
    for variable in wider.variables:
        if variable.path in known:
            variable.assign(known[variable.path])
    return wider


def _named(model: ZooModel, names: list[str]) -> list[keras.layers.Layer]:
    return [model.network.get_layer(name) for name in names]


def set_trainable(model: ZooModel, names: list[str], trainable: bool) -> None:
    """Freezes layers or releases them; what is compiled already does not heed it.

    Args:
        model: the model that has them.
        names: names of the layers.
        trainable: whether they are trained from now on.
    """
    for layer in _named(model, names):
        layer.trainable = trainable
