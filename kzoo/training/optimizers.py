"""The optimizer a configuration asks for, and the averaged weights it keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import keras
from keras import ops

from kzoo.layers.deformable import DeformableConv2D
from kzoo.model import BACKBONE
from kzoo.training.config import TrainConfig
from kzoo.training.rates import SGD, AdamW
from kzoo.training.schedules import DarknetSchedule, make_schedule

_LONGEST_BURN_IN = 1000  # Darknet's own
_BURN_IN_EPOCHS = 3
_MEMORY_SHARE = 0.03  # of the training that averages look back on
_MEMORY_RANGE = (0.9, 0.9998)
_SLOW = 0.1  # of the rate


def make_optimizer(
    config: TrainConfig, steps_per_epoch: int, slow: Sequence[str] = ()
) -> keras.optimizers.Optimizer:
    """AdamW or SGD with its schedule, clipping, accumulation and average; callbacks may set its learning rate.

    Args:
        config: the training's options.
        steps_per_epoch: batches in an epoch.
        slow: beginnings of the names of weights that are trained at a tenth of the rate.
    """
    steps = config.epochs * steps_per_epoch
    burn_in = config.burn_in
    if burn_in is None:
        burn_in = min(_BURN_IN_EPOCHS * steps_per_epoch, _LONGEST_BURN_IN, steps // 2)
    rates = dict.fromkeys(slow, _SLOW)
    if config.backbone_rate != 1:
        rates[BACKBONE] = float(config.backbone_rate)
    common = {
        "learning_rate": _schedule(config, steps, burn_in),
        "weight_decay": float(config.weight_decay) or None,
        "global_clipnorm": float(config.clip_norm) or None,
        "gradient_accumulation_steps": config.accumulate if config.accumulate > 1 else None,
        "use_ema": config.ema,
        "ema_momentum": average_momentum(steps) if config.ema_momentum is None else config.ema_momentum,
        "rates": rates,
    }
    if config.optimizer == "sgd":
        return SGD(momentum=float(config.momentum), nesterov=config.nesterov, **common)
    # AdamW takes no None for "no decay".
    common["weight_decay"] = float(config.weight_decay)
    betas = {"beta_1": config.beta_1, "beta_2": config.beta_2, "epsilon": config.epsilon}
    return AdamW(**betas, **common)


def _schedule(config: TrainConfig, steps: int, burn_in: int):
    """The schedule that the options name, or the one of Darknet's that a mapping describes."""
    if not isinstance(config.schedule, dict):
        return make_schedule(config.schedule, config.learning_rate, steps, burn_in)
    try:
        return DarknetSchedule(
            config.learning_rate, burn_in=config.burn_in or 0, accumulate=config.accumulate, **config.schedule
        )
    except TypeError as error:
        raise ValueError(f"schedule={config.schedule}: {error}") from error


def follow_options(optimizer, config: TrainConfig, steps_per_epoch: int) -> None:
    """Lays schedule and average of an optimizer over the whole training that the options describe now.

    The rate of a step becomes what it is in a training that was asked for as many epochs from its beginning; what
    callbacks have scaled it by stays.

    Args:
        optimizer: the optimizer of a checkpoint, made for the same options but for the number of epochs.
        config: the training's options.
        steps_per_epoch: batches in an epoch.
    """
    wanted, optimizer = make_optimizer(config, steps_per_epoch), inner_optimizer(optimizer)
    optimizer.ema_momentum = wanted.ema_momentum
    if isinstance(optimizer, (AdamW, SGD)):
        optimizer.follow(wanted.schedule)
    else:  # of a checkpoint that an earlier version wrote
        optimizer.learning_rate = wanted.schedule


def average_momentum(steps: int) -> float:
    """Momentum of a moving average that looks back on a small share of the training, however short that is."""
    low, high = _MEMORY_RANGE
    return min(high, max(low, 1.0 - 1.0 / max(1.0, _MEMORY_SHARE * steps)))


def hasten_statistics(model: keras.Model, steps: int) -> None:
    """Lets batch normalisation's statistics follow the weights in a short training as they would in a long one.

    With Darknet's momentum of 0.99 they still hold a fifth of their initial values after 160 steps, and a model that
    fits its batches finds nothing in validation.
    """
    for layer in model.network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, average_momentum(steps))


def slow_weights(model: keras.Model) -> list[str]:
    """The beginnings of the names of what a model learns better at a smaller rate: where deformable convolutions look.

    Adam moves each weight by the rate, however little there is to gain. What moves a tap is a sum over nine places of
    every channel, none of which is below 0: at 1e-3 a step moves it by a pixel, and the map that it looks at is lost.

    Source: Zhu et al. 2020, Deformable DETR, arXiv:2010.04159, section 5: a tenth of the rate for sampling offsets.
    """
    return [f"{layer.name}/offset" for layer in model.network.layers if isinstance(layer, DeformableConv2D)]


def exclude_from_decay(model: keras.Model) -> None:
    """Keeps weight decay on kernels alone: off biases, and batch normalisation's scales and offsets."""
    optimizer = inner_optimizer(model.optimizer)
    optimizer.exclude_from_weight_decay(
        var_list=[weight for weight in model.trainable_variables if weight.name != "kernel"]
    )


def averages_weights(model: keras.Model) -> bool:
    """Whether the model's optimizer keeps an average that `averaged_weights` can show."""
    optimizer = inner_optimizer(model.optimizer)
    return bool(getattr(optimizer, "use_ema", False) and optimizer.built)


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """For the time of the block the model has its optimizer's averaged weights, and the optimizer the raw ones.

    Batch normalisation's statistics are averages of their own and stay. Without an average nothing happens.
    """
    swap_averages(model)
    try:
        yield
    finally:
        swap_averages(model)


def swap_averages(model: keras.Model) -> None:
    """Exchanges weights and averages, to the last bit: doing it twice changes nothing."""
    if not averages_weights(model):
        return
    for weight, average in averages(model.optimizer):
        raw = ops.convert_to_numpy(weight).copy()
        weight.assign(ops.convert_to_numpy(average).copy())
        average.assign(raw)


def averages(optimizer) -> list[tuple[keras.Variable, keras.Variable]]:
    """Each weight that an optimizer trains, with its average; nothing where none are kept."""
    optimizer = inner_optimizer(optimizer)
    if not optimizer.use_ema:
        return []
    weights, kept = optimizer._trainable_variables, optimizer._model_variables_moving_average
    return list(zip(weights, kept, strict=True))


def batches_seen(optimizer) -> keras.Variable:
    """How many batches an optimizer has been shown; its `iterations` count updates."""
    return inner_optimizer(optimizer)._iterations


def inner_optimizer(optimizer):
    """The optimizer itself, where float16's loss scaling wraps it."""
    return getattr(optimizer, "inner_optimizer", optimizer)
