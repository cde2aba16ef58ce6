"""Training as a Darknet `.cfg` says: its keys as options of `TrainConfig`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kzoo.augment.darknet import DarknetColor, DarknetJitter
from kzoo.darknet import cfg as cfg_files
from kzoo.darknet import keys
from kzoo.darknet.beside import read_map
from kzoo.darknet.cfg import Cfg, Section
from kzoo.darknet.plan import HEADS
from kzoo.darknet.planning import make_plan
from kzoo.data.loading.loader import steps_per_epoch
from kzoo.options.forms import POLICIES
from kzoo.training.config import TrainConfig

# What becomes of each key: an option of `TrainConfig`, or part of one. The head has the others from the importer.
_NET_OPTIONS = {
    **{"batch": "accumulate", "subdivisions": "batch_size", "max_batches": "epochs", "resize_step": "sizes"},
    **{key: key for key in ("burn_in", "learning_rate", "momentum")},
    **{"decay": "weight_decay", "ema_alpha": "ema_momentum"},
    **{"adam": "optimizer", "B1": "beta_1", "B2": "beta_2", "eps": "epsilon"},
    **dict.fromkeys(("policy", "power", "steps", "scales", "step", "scale", "gamma"), "schedule"),
    **dict.fromkeys(("sgdr_cycle", "sgdr_mult", "learning_rate_min"), "schedule"),
    **dict.fromkeys(("angle", "saturation", "exposure", "hue", "flip", "mosaic"), "augment"),
}
_HEAD_OPTIONS = {"jitter": "augment", "resize": "augment", "random": "sizes"}
_REASONS = {"cutmix": "Darknet itself has it for classifiers alone"}


def is_cfg(model) -> bool:
    """Whether a model is given as the path of a `.cfg`."""
    return isinstance(model, (str, Path)) and str(model).endswith(".cfg")


@dataclass(frozen=True)
class CfgTraining:
    """What a `.cfg` says of training.

    Attributes:
        cfg: the file.
        given: options that hold in the place of the file's.
        options: of `TrainConfig`, the given ones among them; all but `epochs`, which depends on the dataset.
    """

    cfg: Cfg
    given: dict[str, Any]
    options: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path, given: dict[str, Any]) -> CfgTraining:
        """Reads a `.cfg`.

        Args:
            path: of the file.
            given: options of `TrainConfig` that hold in the place of the file's.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it cannot be trained so; the message names file, line, key and value.
        """
        cfg = cfg_files.read(path)
        keys.check(cfg)
        TrainConfig.of(given)  # so that what is wrong in them is told now
        return cls(cfg, dict(given), _options(cfg, given))

    def completed(self, config: TrainConfig, dataset) -> TrainConfig:
        """The options with the epochs in which the dataset is gone through `max_batches` times.

        Raises:
            ValueError: the file is for another number of classes, or does not say how long to train.
        """
        _check_classes(self.cfg, dataset.classes)
        if "epochs" in self.given:
            return config
        iterations = self.cfg.net.integer("max_batches", 0, least=0)
        if not iterations:
            raise self.cfg.net.fault(
                "max_batches", "says nothing of how long to train; add it, or give epochs"
            )
        batches = iterations * config.accumulate
        epochs = math.ceil(batches / steps_per_epoch(len(dataset), config.batch_size))
        return dataclasses.replace(config, epochs=epochs)

    def lines(self, config: TrainConfig) -> list[str]:
        """What to tell of it: how the file is trained, the keys that are honoured, those that are not."""
        net, head = self.cfg.net, head_section(self.cfg)
        honoured = [key for key in net.options if _NET_OPTIONS.get(key, "epochs") not in self.given]
        images = config.batch_size * config.accumulate
        honoured = [
            key for key in honoured if key in _NET_OPTIONS and (key != "batch" or net.integer(key) == images)
        ]
        of_head = [key for key in head.options if key in keys.training(head)]
        of_head = [key for key in of_head if _HEAD_OPTIONS.get(key) not in self.given]
        settings = ", ".join(
            f"{key}={section.text(key)}"
            for section, names in ((net, honoured), (head, of_head))
            for key in names
        )
        ignored = _ignored(self.cfg)
        epochs = f"{config.epochs} epoch{'s' * (config.epochs > 1)}"
        lines = [f"{self.cfg.path}: {epochs}, {images} images a step; {settings}"]
        return [*lines, f"{self.cfg.path}: ignored: {ignored}"] if ignored else lines


def head_section(cfg: Cfg) -> Section:
    """The last head, whose keys Darknet's trainer reads.

    Raises:
        ValueError: there is none.
    """
    heads = [section for section in cfg.sections if section.kind in HEADS]
    if not heads:
        last = cfg.sections[-1] if cfg.sections else cfg.net
        raise last.fault(
            None,
            "ends a classifier; kzoo trains detectors: give a cfg with [yolo], [Gaussian_yolo], [region] or "
            "[detection]",
        )
    return heads[-1]


def _ignored(cfg: Cfg) -> str:
    lines: dict[str, list[str]] = {}
    for key, line in keys.ignored(cfg):
        lines.setdefault(key, []).append(str(line))
    return ", ".join(
        f"{key} (line{'s' * (len(at) > 1)} {', '.join(at)}{'; ' + _REASONS[key] if key in _REASONS else ''})"
        for key, at in lines.items()
    )


def _options(cfg: Cfg, given: dict[str, Any]) -> dict[str, Any]:
    net, head = cfg.net, head_section(cfg)
    options = {
        **_batches(net, given),
        "learning_rate": net.number("learning_rate", 0.001),
        "burn_in": net.integer("burn_in", 0, least=0),
        "schedule": _schedule(net),
        "augment": _augment(net, head),
        "sizes": _sizes(cfg, head, given),
        # Darknet ends on mosaics, and knows no clipping.
        "close_mosaic": 0,
        "clip_norm": 0.0,
    }
    options |= _optimizer(net, {**options, **given})
    return {**options, **given}


def _batches(net: Section, given: dict[str, Any]) -> dict[str, int]:
    """`batch` images make an iteration, in `subdivisions` parts."""
    batch, parts = (net.integer(key, 1, least=1) for key in ("batch", "subdivisions"))
    if "batch_size" in given:
        return {"accumulate": max(1, round(batch / given["batch_size"]))}
    if batch == 1:
        # As most cfg files come; Darknet does not train with it either.
        raise net.fault(
            "batch", "is for looking at pictures; to train give batch=64, subdivisions=16, or a batch size"
        )
    if batch < parts:
        raise net.fault("subdivisions", f"is more than batch={batch}; give less")
    return {"batch_size": batch // parts, "accumulate": parts}


def _optimizer(net: Section, options: dict[str, Any]) -> dict[str, Any]:
    adam, decay = net.flag("adam"), net.number("decay", 0.0001, least=0)
    momentum, average = net.number("momentum", 0.9, least=0), net.number("ema_alpha", 0.0, least=0)
    for key, value in (("momentum", momentum), ("ema_alpha", average)):
        if value >= 1:
            raise net.fault(key, "is out of range; give a number below 1")
    if (options.get("optimizer") or ("adamw" if adam else "sgd")) == "sgd":
        # Darknet adds decay * weight to the gradient, so the momentum repeats it: 1 / (1 - momentum) times in all.
        # Keras shrinks the weights beside the momentum, once.
        decay /= 1 - options.get("momentum", momentum)
    made = {
        "optimizer": "adamw" if adam else "sgd",
        "momentum": momentum,
        "nesterov": False,
        "weight_decay": decay,
        "ema": average > 0,
    }
    if average:
        # Keras averages with every batch, Darknet with every update.
        made["ema_momentum"] = average ** (1 / options["accumulate"])
    if adam:
        made |= {"beta_1": net.number("B1", 0.9), "beta_2": net.number("B2", 0.999)}
        made["epsilon"] = net.number("eps", 0.000001)
    return made


def _schedule(net: Section) -> dict[str, Any]:
    """The arguments of `DarknetSchedule`, but for learning rate and burn-in."""
    policy = net.choice("policy", "constant", POLICIES)
    schedule = {"policy": policy, "power": net.number("power", 4.0)}
    most = net.integer("max_batches", 0, least=0)
    if policy == "steps":
        schedule |= {"steps": net.integers("steps"), "scales": net.numbers("scales")}
        if not schedule["steps"] or len(schedule["steps"]) != len(schedule["scales"]):
            raise net.fault("scales", "and steps have to be equally many, and not none, with policy=steps")
    elif policy == "step":
        schedule |= {"step": net.integer("step", 1, least=1), "scale": net.number("scale", 1.0)}
    elif policy in ("exp", "sigmoid"):
        schedule |= {"gamma": net.number("gamma", 1.0), "step": net.integer("step", 1)}
    elif policy == "sgdr":
        schedule |= {
            "cycle": net.integer("sgdr_cycle", most, least=1),
            "growth": net.integer("sgdr_mult", 2, least=1),
            "minimum": net.number("learning_rate_min", 0.00001, least=0),
        }
    elif policy == "poly":
        if not most:
            raise net.fault("max_batches", "is missing, and policy=poly needs it; add it")
        schedule["max_batches"] = most
    return schedule


def _augment(net: Section, head: Section) -> list:
    """Transforms by name, so that a resumed run has them too."""
    augment: list = []
    if net.flag("mosaic"):
        augment.append({"mosaic": {"p": 0.5, "centre": [0.2, 0.8]}})
    jitter = {"jitter": head.number("jitter", 0.2, least=0), "resize": head.number("resize", 1.0, least=0)}
    colors = {key: net.number(key, default, least=0) for key, default in _COLORS.items()}
    for section, key, transform, arguments in (
        (head, "jitter", DarknetJitter, jitter),
        (net, "hue", DarknetColor, colors),
    ):
        try:
            transform(**arguments)
        except ValueError as error:
            raise section.fault(key, str(error)) from error
    if jitter != {"jitter": 0.0, "resize": 1.0}:
        augment.append({"darknet_jitter": jitter})
    if net.flag("flip", True):
        augment.append("flip")
    if angle := net.number("angle", 0.0, least=0):
        turn = {"scale": [1.0, 1.0], "translate": 0.0, "rotate": angle, "shear": 0.0}
        augment.append({"affine": turn})
    if colors != _COLORS:
        augment.append({"darknet_color": colors})
    return augment


_COLORS = {"hue": 0.0, "saturation": 1.0, "exposure": 1.0}


def _sizes(cfg: Cfg, head: Section, given: dict[str, Any]) -> list | None:
    """Input sizes of `random`: its number times larger or smaller, 1.4 where it is 1, in steps of 32.

    Source: Darknet, `train_detector` in detector.c.
    """
    ratio = head.number("random", 0.0, least=0)
    if not ratio or given.get("multi_scale"):
        return None
    if fixed := next((one for one in cfg.sections if one.kind in ("connected", "crop", "local")), None):
        raise head.fault("random", f"[{fixed.kind}] on line {fixed.line} takes one input size; give random=0")
    if not all(one.settings["divide"] for one in make_plan(cfg).heads if one.kind != "detection"):
        raise head.fault(
            "random", "its cells do not divide the image, which holds for one size; give random=0"
        )
    ratio = 1.4 if ratio == 1 else max(ratio, 1 / ratio)
    net = cfg.net
    step = net.integer("resize_step", 32, least=1)
    size = given.get("image_size") or [net.integer(key, least=1) for key in ("height", "width")]
    height, width = (size, size) if isinstance(size, int) else size
    short = min(height, width)
    least, most = (max(1, round(side / step + 1)) for side in (short / ratio, short * ratio))
    # The longer side in proportion, so that all heights differ, and all widths.
    return [
        [round(count * side / short) * step for side in (height, width)]
        for count in range(min(least, short // step), most + 1)
    ]


def _check_classes(cfg: Cfg, classes: Sequence[str]) -> None:
    count = len(classes)
    for section in (section for section in cfg.sections if section.kind in HEADS):
        classes = section.integer("classes", 1 if section.kind == "detection" else 20)
        if "tree" in section and "map" in section and classes != count:
            classes = len(read_map(section, classes))
        if classes != count:
            why = f"the dataset has {count}: give classes={count}, and {_outputs(section, count)}"
            raise section.fault("classes", why)


def _outputs(section: Section, classes: int) -> str:
    """How many channels a head of so many classes has to be fed with."""
    boxes = section.integer("num", 1)
    if section.kind == "detection":
        side = section.integer("side", 7)
        return (
            f"output=side*side*(classes+5*num)={side**2 * (classes + 5 * boxes)} in the [connected] before it"
        )
    boxes = len(section.numbers("mask")) or boxes
    fields = 9 if section.kind == "Gaussian_yolo" else 5
    return f"filters=(classes+{fields})*{boxes}={(classes + fields) * boxes} in the [convolutional] before it"
