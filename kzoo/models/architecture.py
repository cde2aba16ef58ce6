"""What all architecture functions share: arguments that are checked first, and the model of network and head."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence

import keras

from kzoo.backbones.named import BACKBONES, check_backbone
from kzoo.heads.base import Head
from kzoo.model import ZooModel
from kzoo.options import check_known, check_values, refuse_idle
from kzoo.options.building import MODEL
from kzoo.weights.loading import load_backbone, load_weights

# What an architecture gives its head itself.
_OWN = ("num_classes", "anchors", "strides", "name")


def architecture(
    head: type[Head], own: tuple[str, ...] = (), backbones: tuple[str, ...] | None = None
) -> Callable:
    """A decorator of architecture functions: their arguments, and those for the head, are known, sound and of effect.

    Args:
        head: the class that further arguments go to.
        own: further arguments of the head that the function decides on.
        backbones: what the function's `backbone` may be besides `kzoo.backbones.named.BACKBONES`, its default first;
            None where it has no such argument, or decides on it.

    Returns:
        A decorator. The function raises ValueError before it builds anything where a name is unknown (the nearest is
        said) or a value out of range, and after it where an argument of the head had no effect.

    Example:
        >>> @architecture(YoloHead)
        ... def yolov3(num_classes: int = 80, image_size: Sequence[int] = (416, 416), **head): ...
    """
    further = [name for name in head.arguments() if name not in (*_OWN, *own)]

    def decorate(function: Callable[..., ZooModel]) -> Callable[..., ZooModel]:
        signature = inspect.signature(function)
        takes = [one.name for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        hands_on = len(takes) < len(signature.parameters)  # it has a `**head`
        takes_backbone = signature.parameters.get("backbone")
        known = [*takes, *(further if hands_on else ())]

        @functools.wraps(function)
        def built(*args, **kwargs) -> ZooModel:
            # Names and values first: a network takes seconds to build, and its own errors name no argument.
            check_known(kwargs.get("name") or function.__name__, kwargs, known)
            bound = signature.bind(*args, **kwargs)
            for_head = {name: value for name, value in kwargs.items() if name not in takes}
            bound.arguments.update(check_values(bound.arguments, MODEL))
            check_values(for_head, head.options)
            if backbones is not None:
                check_backbone(bound.arguments.get("backbone", takes_backbone.default), backbones)
            model = function(*bound.args, **bound.kwargs)
            # Whether an argument has an effect hangs on others, and of those the function decides on defaults itself.
            refuse_idle(for_head, head.options, lambda name: getattr(model.head, name))
            return model

        # What `kzoo info` lists besides the function's own arguments, and the table of backbones.
        built.head = head
        built.backbones = () if backbones is None else (*backbones, *BACKBONES)
        built.head_arguments = [name for name in known if name not in takes]
        return built

    return decorate


def assembled(
    network: keras.Model,
    head: Head,
    image_size: Sequence[int],
    names: Sequence[str] | None,
    name: str,
    weights: str | None,
    backbone_weights: str | None = None,
) -> ZooModel:
    """Network and head as one model, with weights where they are given."""
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)
