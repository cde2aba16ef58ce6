"""Files of tensors opened: names and arrays, of whatever wrote them."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np

from kzoo.data.formats.text import shorten
from kzoo.weights.matching import Convolution
from kzoo.weights.onnx_file import OnnxFile, read_onnx
from kzoo.weights.pickled import read_pickled

SUFFIXES = (".pth", ".pt", ".safetensors", ".onnx")
# What to do with a file that has a whole program object in it, as YOLOv5's and YOLOv7's `.pt` have.
_ANEW = (
    "let the program that wrote it save the state dict alone, as .safetensors, or export ONNX, and give that"
)
# How torch calls a class or function that a pickle asks for.
_REFUSED = re.compile(r"GLOBAL (\S+)")
_UNREAD = re.compile(r"WeightsUnpickler error:\s*(\S[^\n]*)")
_WHOLE = "fetch or export it anew, with all its numbers in the one file"
# What stands before a residual network's names in detectors, a backbone's in whole models, all in saved replicas.
PREFIXES = ("body.", "backbone.", "module.")


def opened(path: Path) -> tuple[dict[str, np.ndarray], list[Convolution]]:
    """The tensors of a file by name, without what may stand before names; and, of an ONNX file, its convolutions.

    Args:
        path: a file that `state_dict` takes.

    Raises:
        ValueError, ImportError: as in `state_dict`.
    """
    if path.suffix != ".onnx":
        return {stripped(key): value for key, value in state_dict(path).items()}, []
    file = _of_onnx(path)
    names = {each.name: stripped(each.name) for each in file.convolutions}
    tensors = {stripped(key): value for key, value in file.tensors.items()}
    return tensors, [each.renamed(names) for each in file.convolutions]


def state_dict(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file by name.

    Args:
        path: `.safetensors`; `.pth`, of which nothing but tensors is unpickled, by torch or, where that is not
            installed, by `kzoo.weights.pickled`; or `.onnx`, of which those that layers learnt are taken.

    Raises:
        ValueError: the file is damaged, or holds something else.
        ImportError: the file is an ONNX one, and the extra `onnx` is not installed.
    """
    if path.suffix == ".onnx":
        return _of_onnx(path).tensors
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return load_file(path)
        return _unpickled(path)
    except Exception as error:  # Whatever the two libraries raise on bytes that they did not write.
        raise ValueError(
            f"{path}: is damaged, or holds more than tensors ({_reason(error)}), of which nothing is run; {_ANEW}"
        ) from error


def _of_onnx(path: Path) -> OnnxFile:
    try:
        return read_onnx(path)
    except ImportError:
        raise
    except Exception as error:  # Whatever protobuf and onnx raise on bytes that they did not write.
        raise ValueError(f"{path}: is damaged, or not to be read ({_reason(error)}); {_WHOLE}") from error


def _reason(error: Exception) -> str:
    """The first line of what an error says; of torch's, what it refuses and not its advice to load it all the same."""
    said = str(error).strip() or type(error).__name__
    refused, unread = _REFUSED.search(said), _UNREAD.search(said)
    if refused:
        return shorten(f"{refused[1]} in it is code", 200)
    return shorten(unread[1] if unread else said.splitlines()[0].partition(". ")[0], 200)


def _unpickled(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError:
        content = read_pickled(path)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the versions of pickles
            content = torch.load(path, map_location="cpu", weights_only=True)
    # The running mean of RT-DETR's weights stands beside what was trained last, and is what counts.
    for key in ("ema", "module", "state_dict", "model"):
        content = content.get(key, content)
    return {key: np.asarray(value, np.float32) for key, value in _detached(content).items()}


def _detached(content: dict) -> dict[str, np.ndarray]:
    """Tensors as arrays; what is none has no business in a state dict."""
    arrays = {
        key: value.detach().float().numpy() if hasattr(value, "detach") else value
        for key, value in content.items()
    }
    others = [key for key, value in arrays.items() if not isinstance(value, np.ndarray)]
    if others:
        raise ValueError(f"{others[0]} is no tensor")
    return arrays


def tensor_names(path: Path) -> set[str]:
    """Names of the tensors of a file, as `read_torch` knows them; none of a file that cannot be read.

    Args:
        path: a `.safetensors`, `.pth` or `.onnx` file.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, "numpy") as file:
                return {stripped(key) for key in file.keys()}  # noqa: SIM118
        return {stripped(key) for key in state_dict(path)}
    except Exception:  # Whatever is wrong is said when the tensors are read.
        return set()


def stripped(key: str) -> str:
    """A tensor's name without what replicas, whole models and detectors put before it."""
    for prefix in PREFIXES[::-1]:
        key = key.removeprefix(prefix)
    # ConvNeXt's factors of channels, which torchvision has by the other name; statistics, which Paddle shortens.
    for theirs, known in (
        (r"\.gamma$", ".layer_scale"),
        (r"\._mean$", ".running_mean"),
        (r"\._variance$", ".running_var"),
    ):
        key = re.sub(theirs, known, key)
    return key
