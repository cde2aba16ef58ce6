"""What a `.cfg` describes, worked out in plain numbers.

Everything is checked here, before Keras is started or a single weight is made.
"""

from __future__ import annotations

import math

from kzoo.darknet import keys
from kzoo.darknet.cfg import Cfg
from kzoo.darknet.plan import MAX_CHANNELS, MAX_OUTPUT, MAX_SIDE, Layer, Plan, Site
from kzoo.darknet.sections import PLANNERS

_SEVERAL = ("yolo", "Gaussian_yolo")  # heads of which a network may have several, one a level
MAX_FLOATS = 2**30  # Weights of a network: four gigabytes. Darknet's largest has a quarter of it.


def make_plan(cfg: Cfg, features: bool = False) -> Plan:
    """Works out a network from its description.

    Args:
        cfg: the description, as `kzoo.darknet.cfg.read` gives it.
        features: whether the network may end in a feature map, without a head.

    Raises:
        ValueError: it cannot be built; the message names file, line, key and value.
    """
    keys.check(cfg)
    if not cfg.sections:
        raise cfg.net.fault(None, "is followed by no layer; add some")
    sides = tuple(cfg.net.integer(key, least=1, most=MAX_SIDE) for key in ("height", "width"))
    channels = cfg.net.integer("channels", 3)
    if channels not in (1, 3):
        raise cfg.net.fault("channels", "images are RGB here, or made grey; only 3 and 1 are built")
    plan = Plan(cfg, (*sides, channels), [])
    floats = 0
    for index, section in enumerate(cfg.sections):
        layer = PLANNERS[section.kind](Site(plan, index, section))
        _check_size(layer)
        floats += layer.floats
        if floats > MAX_FLOATS:
            raise section.fault(
                None,
                f"with it the network has {floats:,} weights, more than the {MAX_FLOATS:,} that are built",
            )
        plan.layers.append(layer)
    _check_end(plan, features)
    return plan


def _check_size(layer: Layer) -> None:
    height, width, channels = layer.shape
    if min(layer.shape) < 1:
        raise layer.section.fault(
            None, f"its output would be {width}x{height}x{channels}; the image is too small for this network"
        )
    too_large = max(height, width) > MAX_SIDE or channels > MAX_CHANNELS
    if too_large or math.prod(layer.shape) > MAX_OUTPUT or layer.floats > MAX_FLOATS:
        raise layer.section.fault(
            None,
            f"its output of {width}x{height}x{channels} with {layer.floats:,} weights is larger than what is built",
        )


def _check_end(plan: Plan, features: bool) -> None:
    """The heads are of one kind; or the network ends in a vector of class scores, or in a map that was asked for."""
    heads, last = plan.heads, plan.layers[-1]
    for head in heads[1:]:
        if head.kind != heads[0].kind or head.kind not in _SEVERAL:
            raise head.section.fault(
                None,
                f"is a second head after [{heads[0].kind}] on line {heads[0].section.line}; keep one kind",
            )
    if not heads and last.shape[:2] != (1, 1) and not features:
        height, width, channels = last.shape
        raise last.section.fault(
            None,
            f"the network ends here, in a map of {width}x{height}x{channels} and without a head; add [yolo], "
            "[Gaussian_yolo], [region], [detection], [softmax] or [logistic], or ask for its features",
        )
