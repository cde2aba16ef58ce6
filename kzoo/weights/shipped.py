"""Small trained models that come with kzoo: their names stand wherever the path of a `.keras` file may."""

from __future__ import annotations

import functools
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kzoo.system.files import replacing
from kzoo.weights.hub import is_address, local_file
from kzoo.weights.published import cache_folder

_FOLDER = Path(__file__).with_name("shipped")  # its README has a card for each


@dataclass(frozen=True)
class Shipped:
    """A model that comes with kzoo.

    Attributes:
        architecture: the registered name that it was built by.
        arguments: what it was built with besides classes and input size.
    """

    architecture: str
    arguments: Mapping


SHIPPED = {
    "cards": Shipped("yolov3-tiny", {"backbone": "efficientnet-lite0"}),
    "cells": Shipped("yolov3-tiny", {"width": 0.25}),
    "nuclei": Shipped("unet", {"width": 0.1875, "batch_norm": True}),
}


def is_shipped(path) -> bool:
    """Whether this is the name of a model that comes with kzoo, and nothing of that name lies where one is."""
    return isinstance(path, (str, Path)) and str(path) in SHIPPED and not Path(path).exists()


def is_saved(model) -> bool:
    """Whether this means a `.keras` file: by its path, an address on the hub, or the name of a shipped model."""
    by_path = isinstance(model, (str, Path)) and Path(model).suffix == ".keras"
    return by_path or is_address(model) or is_shipped(model)


def model_file(path):
    """The file on this machine that is meant by an address on the hub or by the name of a shipped model.

    Args:
        path: one of these; all else, paths and None among it, is given back as it is.

    Raises:
        ValueError: what is at an address is no model that may be opened, or the installation is damaged.
        OSError: it cannot be fetched; the message says why, and what to do.

    Example:
        >>> model_file("cards").suffix
        '.keras'
    """
    return shipped_file(str(path)) if is_shipped(path) else local_file(path)


def shipped_arguments(architecture: str, arguments: Mapping) -> dict:
    """Arguments of `kzoo.build` whose `weights` are a shipped model's, with those that the model was built with.

    Args:
        architecture: the registered name that is to be built.
        arguments: what `kzoo.build` got; given back as they are where `weights` are other ones.

    Raises:
        ValueError: the weights are of another architecture.
    """
    name = str(arguments.get("weights"))
    if not is_shipped(name):
        return dict(arguments)
    model = SHIPPED[name]
    if model.architecture != architecture:
        raise ValueError(
            f"weights={name!r}: of {model.architecture}, not of {architecture}; build that, or take kzoo.load({name!r})"
        )
    return {**model.arguments, **arguments}


@functools.cache
def shipped_file(name: str) -> Path:
    """The `.keras` file of a shipped model, unpacked into the folder of published weights the first time.

    Where nothing can be written there, it goes into a folder of this process.

    Raises:
        ValueError: the installation is damaged.
    """
    packed = _FOLDER / f"{name}.kzoo"
    # By content, so that another version's model is another file.
    file = f"{name}-{zlib.crc32(packed.read_bytes()):08x}.keras"
    path = cache_folder() / file
    if path.is_file():
        return path
    from kzoo.weights.packing import unpack

    model = unpack(packed)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as fresh:
            model.save(fresh)
    except OSError:
        path = Path(tempfile.mkdtemp(prefix="kzoo-")) / file
        model.save(path)
    return path
