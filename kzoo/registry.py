"""Names of models, and where each is built. Nothing is imported until a name is asked for."""

from __future__ import annotations

import difflib
import importlib

from kzoo.entries import ENTRIES, Entry

_BY_NAME = {entry.name: entry for entry in ENTRIES}


def list_models(task: str | None = None) -> list[str]:
    """Registered names, sorted; of one task where it is given."""
    return sorted(entry.name for entry in ENTRIES if task in (None, entry.task))


def entry(name: str) -> Entry:
    """The entry of `name`; `_` and `-` and letter case make no difference.

    Raises:
        ValueError: no model has that name; the message has the nearest ones.
    """
    key = str(name).lower().replace("_", "-")
    if key in _BY_NAME:
        return _BY_NAME[key]
    near = difflib.get_close_matches(key, _BY_NAME, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else f"known names: {', '.join(list_models())}"
    raise ValueError(f"unknown model {str(name)!r}; {hint}")


def architecture_function(name: str):
    """The function that builds the model of a name: its signature has the arguments that `build` takes.

    Raises:
        ValueError: no model has that name; the message has the nearest ones.

    Example:
        >>> help(architecture_function("yolov3-tiny"))
    """
    module, function = entry(name).target.split(":")
    return getattr(importlib.import_module(module), function)


def build(name: str, /, **arguments):
    """Builds a model by its name.

    Args:
        name: one of `kzoo.list_models()`.
        **arguments: the architecture function's own, such as `num_classes`, `image_size` (height and width, or one
            side), `width`, `depth`, `weights` (a `.keras`, `.weights.h5` or Darknet's `.weights` file, a model on
            Hugging Face's hub as `hf://USER/NAME`, or the name of published ones, such as "coco") and
            `backbone_weights`. A `.keras` file is a model's settings, too: classes, names, input size, anchors,
            normalisation and the head's options are its own where they are not given. Of other classes than the
            file's the rows of the last layers start anew, but for those of the same name.

    Returns:
        A `kzoo.ZooModel`, untrained where no weights are given.

    Raises:
        ValueError: the name or an argument is unknown, and the message has the nearest; a value is out of range; an
            argument has no effect, or contradicts what the weights were trained with, such as `anchors`.

    Example:
        >>> model = kzoo.build("yolov3-tiny", num_classes=3)
    """
    function = architecture_function(name)
    if arguments.get("weights") is not None and arguments.get("backbone_weights") is not None:
        raise ValueError(
            f"backbone_weights={str(arguments['backbone_weights'])!r}: weights={str(arguments['weights'])!r} has the "
            "backbone, too; leave one of them out"
        )
    from kzoo.weights.loading import given_arguments
    from kzoo.weights.saved import completed
    from kzoo.weights.shipped import model_file, shipped_arguments

    arguments = shipped_arguments(entry(name).name, arguments)
    files = {one: model_file(arguments[one]) for one in ("weights", "backbone_weights") if one in arguments}
    arguments = {**arguments, **files}
    from_file = str(arguments.get("weights") or "").endswith(".keras")
    token = given_arguments.set(arguments)
    try:
        return function(**(completed(arguments) if from_file else arguments))
    finally:
        given_arguments.reset(token)
