"""Whether a training's options fit together, its data and its model: told before anything of it is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras

from kzoo.augment.compose import Compose
from kzoo.data.loading.loader import steps_per_epoch
from kzoo.evaluation.detection import check_any_size
from kzoo.model import ZooModel
from kzoo.model.networks import input_specs
from kzoo.options import refuse_idle
from kzoo.options.forms import ALL, AUTO
from kzoo.system.memory import check_batch
from kzoo.training.config import TrainConfig
from kzoo.training.inputs import input_sizes
from kzoo.training.tasks import TASKS


def check_options(
    options: Mapping[str, Any], config: TrainConfig, task: str, is_new: bool, is_cfg: bool
) -> None:
    """Refuses options that the user has set and that have no effect.

    Args:
        options: the options that the user has set, by name.
        config: all options as they hold, with defaults and those of a cfg file.
        task: the model's task, "detect", "segment" or "instance".
        is_new: whether the model is going to be built by a registered name or from a cfg file.
        is_cfg: whether the model is going to be built from a cfg file.

    Raises:
        ValueError: one has no effect, or cannot have; the message names it and the remedy.
    """
    if task not in TASKS:
        raise ValueError(
            f"training runs are for models that {' or '.join(TASKS)}, not for {task!r}; use model.fit"
        )
    if config.stop_at is not None and not is_cfg:
        raise ValueError(
            f"stop_at={config.stop_at}: for the .weights of a .cfg, whose layers it counts; leave it out"
        )
    refuse_idle(options, TrainConfig.options, lambda name: getattr(config, name), task)
    # Numbers are refused where the model is built, with its name.
    if isinstance(options.get("anchors"), str) and (is_cfg or not is_new):
        raise ValueError(
            f"anchors={config.anchors!r}: for a model by name only; this one has its own: leave them out"
        )
    if config.pretrained and (is_cfg or not is_new):
        raise ValueError("pretrained=True: for a model by name only; leave it out")
    if options.get("worker_kind", "auto") != "auto" and config.workers == 0:
        raise ValueError(
            f"worker_kind={config.worker_kind!r}: has no effect with workers=0, which makes batches in the training "
            "itself; leave one of them out"
        )
    _check_mosaic(options, config)
    _check_freezing(options, config, is_new)
    if config.sat and keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"sat={config.sat}: self-adversarial training runs on TensorFlow alone, not on {keras.backend.backend()}; "
            "leave it out, or set KERAS_BACKEND=tensorflow"
        )


def _check_mosaic(options: Mapping[str, Any], config: TrainConfig) -> None:
    """Refuses epochs without pictures of several where there are none such, and more of them than epochs."""
    if not options.get("close_mosaic"):
        return
    if Compose(config.augment).pictures < 2:
        raise ValueError(
            f"close_mosaic={config.close_mosaic}: has no effect with augment={config.augment!r}, which makes no "
            "picture of several; leave it out, or give augment='mosaic'"
        )
    if "epochs" in options and config.close_mosaic > config.epochs:
        raise ValueError(
            f"close_mosaic={config.close_mosaic}: more than epochs={config.epochs}; give so many or fewer"
        )


def _check_freezing(options: Mapping[str, Any], config: TrainConfig, is_new: bool) -> None:
    """Refuses a frozen backbone that has learnt nothing, or that is frozen for longer than the training lasts."""
    if not config.freeze_backbone:
        return
    what = f"freeze_backbone={config.freeze_backbone!r}"
    if is_new and not (config.starts_from_weights or config.pretrain):
        raise ValueError(
            f"{what}: keeps random weights; give pretrained (--pretrained) or pretrain (--pretrain classify), or leave "
            "it out"
        )
    if config.freeze_backbone == ALL:
        if options.get("backbone_rate"):
            raise ValueError(
                f"backbone_rate={config.backbone_rate}: has no effect with {what}; leave one of them out"
            )
    elif "epochs" in options and config.freeze_backbone > config.epochs:
        raise ValueError(f"{what}: more than epochs={config.epochs}; give fewer, or all")


def check_data(options: Mapping[str, Any], config: TrainConfig, train_set, val_set, image_size) -> None:
    """Refuses what the datasets leave without effect, and batches that no memory holds.

    Args:
        options: the options that the user has set, by name.
        config: all options as they hold.
        train_set: the dataset to train on.
        val_set: the dataset to validate on, or None.
        image_size: height and width in pixels of the network's input; None where nobody knows yet.

    Raises:
        ValueError: an option does not fit the data; the message names it and the remedy.
    """
    if options.get("rectangular") and val_set is None:
        raise ValueError(
            "rectangular=True: there is nothing to validate on; leave it out, or give val (--val)"
        )
    least = 1 if config.batch_size == AUTO else config.batch_size
    for size in input_sizes(config, image_size) if image_size else ():
        check_batch(least, size)
    if config.balance is not None or config.batch_size == AUTO:
        return  # an epoch may be longer, or nobody knows yet how long it is
    steps = config.epochs * steps_per_epoch(len(train_set), config.batch_size)
    if config.accumulate > steps:
        raise ValueError(
            f"accumulate={config.accumulate}: the run has {steps} batches in all, so that the weights would never "
            f"change; give {steps} or less, or more epochs"
        )
    updates = steps // config.accumulate
    if options.get("burn_in") and config.burn_in > updates:
        raise ValueError(
            f"burn_in={config.burn_in}: the run has {updates} steps in all, so that the learning rate would never be "
            f"reached; give fewer, or more epochs"
        )


def check_model(model: ZooModel, config: TrainConfig, val_set) -> None:
    """Refuses input sizes that the network does not take, and batches whose feature maps no memory holds.

    Raises:
        ValueError: option, value and remedy.
    """
    sizes = input_sizes(config, model.image_size)
    for size in {tuple(model.image_size), *sizes}:
        model.check_size(size)
    if config.rectangular and val_set is not None:
        check_any_size(model)
    if keras.backend.backend() == "tensorflow":
        from kzoo.training.devices import gpus

        if gpus():  # the memory that `check_batch` knows is not theirs
            return
    largest = max(sizes, key=math.prod)
    check_batch(1 if config.batch_size == AUTO else config.batch_size, largest, feature_bytes(model, largest))


def feature_bytes(model: ZooModel, image_size) -> int:
    """Bytes of the feature maps of one image that training keeps at least: one for each layer with a kernel."""
    height, width = image_size
    kept = [layer.output for layer in model.network.layers if hasattr(layer, "kernel")]
    if not kept:  # all of it is in the head, which looks at one region after another
        return 0
    # A model of these maps tells their shapes (1, h, w, c) at any size, and computes nothing.
    probe = keras.Model(model.network.inputs, kept)
    shapes = probe.compute_output_spec(input_specs(model.network, height, width))
    shapes = shapes if isinstance(shapes, (list, tuple)) else [shapes]
    each = 2 if model.compute_dtype in ("float16", "bfloat16") else 4
    return each * sum(math.prod(one.shape) for one in shapes)
