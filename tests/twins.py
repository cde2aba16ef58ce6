"""Which registered names stand for others where a test takes long."""

from collections.abc import Iterable

import pytest

# Name -> one that at the tests' small depth is built of the same kinds of layers, or of more; the contract checks it.
TWINS = {
    "deeplabv3-resnet101": "deeplabv3",
    "deeplabv3plus-resnet101": "deeplabv3plus",
    "fcn16": "fcn8",
    "fcn32": "fcn8",
    "fcn-resnet101": "fcn-resnet50",
    "resnet34": "resnet18",
    "resnet101": "resnet50",
    "resnet152": "resnet50",
    "retinanet": "retinanet-v2",
    "retinanet-resnet18": "retinanet-v2",
    "retinanet-resnet101": "retinanet-v2",
    "ssd512": "ssd300",
    "yolov3": "yolov3-spp",
}


def twins_are_slow(names: Iterable[str]) -> list:
    """Parameters of a test that takes seconds for each name: those that another stands for are marked `slow`.

    Args:
        names: registered ones.
    """
    return [pytest.param(name, marks=pytest.mark.slow if name in TWINS else ()) for name in names]
