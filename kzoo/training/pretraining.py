"""What a backbone learns before the first epoch: to tell what small pieces of the training pictures show.

A head that finds things tells its backbone little until it finds some, and of few pictures that takes most of the
training. To name what lies in the middle of a small picture is an easier lesson, from the same annotations. Its
classifier is thrown away; the backbone keeps weights and statistics, neck and head are as new.

A detector's lesson are its boxes, each in a crop of its own, and background, which is what it has to tell objects from.
A segmenter has no objects, and its pictures and most of their parts show several classes. Its lesson are tiles, and how
much of each class is on them: the mean over the coarsest map then has to come out right, which it does where each cell
says what is below it, as a segmenter's cells have to. Whether a class is there at all would teach nothing of classes
that are on every tile, as ground often is.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import keras
import numpy as np

from kzoo.augment.compose import transforms
from kzoo.augment.crop import RandomResizedCrop, SSDCrop
from kzoo.augment.geometric import Geometric
from kzoo.augment.photometric import Recolor
from kzoo.data.loading.crops import MOST, SIDES, Crops, PixelShares, fitting_side, object_crops, tiles
from kzoo.data.loading.loader import batches
from kzoo.heads.classify import ClassifyHead
from kzoo.model import ZooModel, backbone_layers
from kzoo.policy import dtype_policy
from kzoo.training import devices
from kzoo.training.assembly import compile_model
from kzoo.training.callbacks import StopOnNaN
from kzoo.training.config import FINE_TUNING_RATE, LEARNING_RATES, TrainConfig
from kzoo.training.freezing import set_trainable
from kzoo.training.inputs import describe, worker_count

_FEWEST = 16  # crops of which anything can be learnt
_LARGEST_BATCH, _SMALLEST_BATCH = 64, 8
_STEPS = 16  # of an epoch, at least, while that leaves batches enough for their statistics
_LARGE_INPUT = 512  # pixels of the shorter side, from which on tiles are large


def cut_crops(model: ZooModel, config: TrainConfig, train_set, val_set) -> tuple[Crops, Crops | None]:
    """What the backbone is to learn from, and what to see on how much it has learnt.

    Args:
        model: the model that is going to be trained.
        config: the training's options.
        train_set: the dataset to train on.
        val_set: the dataset to validate on, or None.

    Returns:
        Crops of the boxes or tiles of the pictures, of each dataset; None without one to validate on.

    Raises:
        ValueError: the model has no backbone, or none that takes small pictures; or there are too few crops, or all
            show the same.
    """
    what = f"pretrain={config.pretrain!r}"
    if not backbone_layers(model):
        raise ValueError(f"{what}: {model.name} has no backbone; leave it out")
    if model.task == "segment":
        side = _taken_side(model, SIDES[int(min(model.image_size) >= _LARGE_INPUT)])
        cutting = functools.partial(tiles, side=side, image_size=model.image_size, seed=config.seed)
    else:
        side = _taken_side(model, fitting_side(train_set, model.image_size))
        cutting = functools.partial(object_crops, side=side, seed=config.seed)
    crops = cutting(train_set)
    if len(crops) < _FEWEST or crops.shown < 2:
        raise ValueError(
            f"{what}: {describe(train_set)} gives {len(crops)} crops with {crops.shown} classes, background one of "
            f"them, and it takes {_FEWEST} with two; give more images, or leave it out"
        )
    return crops, None if val_set is None else cutting(val_set, most=MOST // 4)


def pretrain(
    model: ZooModel,
    config: TrainConfig,
    crops: Crops,
    val_crops: Crops | None,
    names: list[str],
    verbose: str | int,
) -> None:
    """Trains the backbone's weights and statistics, and nothing else of the model.

    AdamW follows a cosine, at the training's own learning rate if that is AdamW's. Crops go through the flips, moves
    and colours of the training: what may not be mirrored there, such as letters, is not here.

    Args:
        model: the compiled model, not yet trained; its backbone is frozen afterwards where the options ask for it.
        config: the training's options.
        crops: crops of the dataset to train on.
        val_crops: crops of the dataset to validate on, or None.
        names: names of the backbone's layers that are trained.
        verbose: 0 for silence, or else a line an epoch is printed.
    """
    set_trainable(model, names, True)
    classifier = _classifier(model, crops)
    stream = batches(
        crops,
        crops.side,
        batch_size(len(crops), devices.replicas(model)),
        _transforms(config, crops),
        seed=config.seed,
        workers=worker_count(config),
        repeat=True,
        resize=model.resize,
    )
    callbacks = [StopOnNaN()]
    if verbose:
        pieces = "crops" if crops.masks is None else "tiles"
        print(
            f"pretraining: the backbone learns from {len(crops)} {pieces} of {crops.side} pixels, "
            f"{config.pretrain_epochs} epochs; {', '.join(crops.classes)}"
        )
        callbacks.append(_Report(val_crops))
    with _momenta_kept(classifier):
        with devices.strategy_of(classifier):
            compile_model(classifier, _lesson(config), len(stream))
        classifier.fit(
            stream,
            steps_per_epoch=len(stream),
            shuffle=False,  # the batches are shuffled already
            epochs=config.pretrain_epochs,
            callbacks=callbacks,
            verbose=0,
        )
    set_trainable(model, names, not config.freeze_backbone)


def batch_size(count: int, shared_by: int = 1) -> int:
    """Crops in a batch: 64, or of few crops as many as leave an epoch of 16 steps, but 8; all devices share them.

    Args:
        count: number of crops.
        shared_by: number of devices, 1 by default.
    """
    size = _LARGEST_BATCH
    while size > _SMALLEST_BATCH and size * _STEPS > count:
        size //= 2
    return -(-size // shared_by) * shared_by


def accuracy(model: ZooModel, crops: Crops) -> float:
    """How much of what crops show a classifier says: the share of objects it names, or of tiles that it fills rightly.

    Args:
        model: a classifier of the crops' classes.
        crops: one crop or more.
    """
    scores = model.predict(crops.images, batch_size=_LARGEST_BATCH, verbose=0)["scores"]  # (N, C)
    if crops.masks is None:
        return float(np.mean(scores.argmax(1) == crops.shares.argmax(1)))
    return float(np.minimum(scores, crops.shares).sum(1).mean())  # what shares of a tile both give to a class


class _Report(keras.callbacks.Callback):
    """Prints how far the lesson has got, a line an epoch."""

    def __init__(self, val_crops: Crops | None):
        super().__init__()
        self.val_crops = val_crops

    def on_epoch_end(self, epoch, logs=None):
        line = f"pretraining, epoch {epoch + 1} of {self.params['epochs']}: loss {logs['loss']:.4f}"
        if self.val_crops:
            what = "crops" if self.val_crops.masks is None else "tiles' areas"
            share = accuracy(self.model, self.val_crops)
            line += f", {100 * share:.1f} % of {len(self.val_crops)} validation {what} right"
        print(line)


def coarsest_network(model: ZooModel) -> keras.Model:
    """The model's own layers from the images to its backbone's coarsest map, (B, H / stride, W / stride, C).

    Args:
        model: a model with a backbone.
    """
    # Keras lists layers in the order of their computation, and backbones are of one line: the last layer has the map.
    return keras.Model(model.network.inputs[:1], backbone_layers(model)[-1].output)


def _taken_side(model: ZooModel, least: int) -> int:
    """The smallest of the sides from `least` on that the backbone takes."""
    network = coarsest_network(model)
    for side in SIDES[SIDES.index(least) :]:
        with contextlib.suppress(ValueError):
            network.compute_output_spec(keras.KerasTensor((1, side, side, 3)))
            return side
    raise ValueError(
        f"pretrain='classify': {model.name} takes no crops of {' or '.join(map(str, SIDES))} pixels; leave it out"
    )


def _classifier(model: ZooModel, crops: Crops) -> ZooModel:
    """A model of the same backbone, as far as its coarsest map, that tells the crops' classes."""
    with devices.strategy_of(model), dtype_policy(model.dtype_policy):
        head = ClassifyHead(len(crops.classes), name="head")
        return ZooModel(
            coarsest_network(model), head, (crops.side, crops.side), crops.classes, name="pretraining"
        )


def _transforms(config: TrainConfig, crops: Crops) -> list:
    """The training's transforms that move or recolour one picture, and do not cut out of it what it shows."""
    kept = [
        one
        for one in transforms(config.augment)
        if isinstance(one, (Geometric, Recolor)) and not isinstance(one, (SSDCrop, RandomResizedCrop))
    ]
    return kept if crops.masks is None else [*kept, PixelShares(len(crops.classes))]


def _lesson(config: TrainConfig) -> TrainConfig:
    """The options that the backbone is trained with on crops."""
    rate = FINE_TUNING_RATE if config.starts_from_weights else LEARNING_RATES["adamw"]
    return TrainConfig(
        epochs=config.pretrain_epochs,
        learning_rate=config.learning_rate if config.optimizer == "adamw" else rate,
        weight_decay=config.weight_decay,
        ema=False,
    )


@contextlib.contextmanager
def _momenta_kept(model: ZooModel) -> Iterator[None]:
    """Gives batch normalisation back its momentum after the block, in which a short training lowers it."""
    momenta = [(layer, layer.momentum) for layer in model.network.layers if hasattr(layer, "momentum")]
    try:
        yield
    finally:
        for layer, momentum in momenta:
            layer.momentum = momentum
