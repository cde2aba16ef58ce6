"""The options of `TrainConfig` that the keys of a Darknet `.cfg` stand for."""

from __future__ import annotations

from typing import Any

from kzoo.augment.darknet import DarknetColor, DarknetJitter
from kzoo.darknet.cfg import Cfg, Section
from kzoo.darknet.plan import HEADS
from kzoo.darknet.planning import make_plan
from kzoo.options.forms import AUTO, POLICIES

_UNCHANGED_COLORS = {"hue": 0.0, "saturation": 1.0, "exposure": 1.0}


def options_of(cfg: Cfg, overrides: dict[str, Any]) -> dict[str, Any]:
    """The options that a `.cfg` states, with the overrides in the place of its own."""
    net, head = cfg.net, head_section(cfg)
    options = {
        **_batches(net, overrides),
        "learning_rate": net.number("learning_rate", 0.001),
        "burn_in": net.integer("burn_in", 0, least=0),
        "schedule": _schedule(net),
        "augment": _augment(net, head),
        "sizes": _sizes(cfg, head, overrides),
        # Darknet ends on mosaics, and knows no clipping.
        "close_mosaic": 0,
        "clip_norm": 0.0,
    }
    options |= _optimizer(net, {**options, **overrides})
    return {**options, **overrides}


def _batches(net: Section, overrides: dict[str, Any]) -> dict[str, int]:
    """`batch` images make an iteration, in `subdivisions` parts."""
    batch, parts = (net.integer(key, 1, least=1) for key in ("batch", "subdivisions"))
    if overrides.get("batch_size") == AUTO:
        raise net.fault(
            "batch",
            "says how many images make a step; give batch_size (--batch-size) as a number, or leave auto out",
        )
    if "batch_size" in overrides:
        return {"accumulate": max(1, round(batch / overrides["batch_size"]))}
    if batch == 1:
        # As most cfg files come; Darknet does not train with it either.
        raise net.fault(
            "batch", "is for looking at pictures; to train give batch=64, subdivisions=16, or a batch size"
        )
    if batch < parts:
        raise net.fault("subdivisions", f"is more than batch={batch}; give less")
    return {"batch_size": batch // parts, "accumulate": parts}


def _optimizer(net: Section, options: dict[str, Any]) -> dict[str, Any]:
    """The optimiser's options; those of the batches, and what the user overrides, are in `options` already."""
    adam, decay = net.flag("adam"), net.number("decay", 0.0001, least=0)
    momentum, average = net.number("momentum", 0.9, least=0), net.number("ema_alpha", 0.0, least=0)
    for key, value in (("momentum", momentum), ("ema_alpha", average)):
        if value >= 1:
            raise net.fault(key, "is out of range; give a number below 1")
    if (options.get("optimizer") or ("adamw" if adam else "sgd")) == "sgd":
        # Darknet adds decay * weight to the gradient, so the momentum repeats it: 1 / (1 - momentum) times in all.
        # Keras shrinks the weights beside the momentum, once.
        decay /= 1 - options.get("momentum", momentum)
    settings = {
        "optimizer": "adamw" if adam else "sgd",
        "momentum": momentum,
        "nesterov": False,
        "weight_decay": decay,
        "ema": average > 0,
    }
    if average:
        # Keras averages with every batch, Darknet with every update.
        settings["ema_momentum"] = average ** (1 / options["accumulate"])
    if adam:
        settings |= {"beta_1": net.number("B1", 0.9), "beta_2": net.number("B2", 0.999)}
        settings["epsilon"] = net.number("eps", 0.000001)
    return settings


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
    colors = {key: net.number(key, default, least=0) for key, default in _UNCHANGED_COLORS.items()}
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
    if colors != _UNCHANGED_COLORS:
        augment.append({"darknet_color": colors})
    return augment


def _sizes(cfg: Cfg, head: Section, overrides: dict[str, Any]) -> list | None:
    """Input sizes of `random`: its number times larger or smaller, 1.4 where it is 1, in steps of 32.

    Source: Darknet, `train_detector` in detector.c.
    """
    ratio = head.number("random", 0.0, least=0)
    if not ratio or overrides.get("multi_scale"):
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
    size = overrides.get("image_size") or [net.integer(key, least=1) for key in ("height", "width")]
    height, width = (size, size) if isinstance(size, int) else size
    short = min(height, width)
    least, most = (max(1, round(side / step + 1)) for side in (short / ratio, short * ratio))
    # The longer side in proportion, so that all heights differ, and all widths.
    return [
        [round(count * side / short) * step for side in (height, width)]
        for count in range(min(least, short // step), most + 1)
    ]


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
