"""Convolutions that have taken their batch normalisation in, for networks that have both."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from kzoo.layers.folding import convolutions_before
from kzoo.model import ZooModel

log = logging.getLogger("kzoo")
_NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
# A convolution that is several in training, by its first part; and its other parts.
_FIRST, _FIRST_NORM, _OTHER, _OTHER_NORM, _ITSELF = ("_conv3", "_bn3", "_conv1", "_bn1", "_bn0")


def unfolded(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    model: ZooModel,
    layers: Mapping[str, keras.layers.Layer],
    modules: Mapping[str, str],
) -> dict[str, np.ndarray]:
    """A file's tensors, and normalisations that do nothing but add the biases of convolutions which have none here.

    Which these are is what the file says: it has the bias, and nothing of the normalisation. Of branches side by side
    the first takes all, and the others give 0.

    Args:
        path: the file, for messages.
        tensors: the file's tensors by name.
        model: the model that takes them.
        layers: the layers that take them, by name.
        modules: what the file calls them.
    """
    found, count = dict(tensors), 0
    pairs = {
        conv.name: norm for norm, conv in convolutions_before(model.network).items() if not conv.use_bias
    }
    branches = {name.removesuffix(_FIRST) for name in layers if name.endswith(f"_rep{_FIRST}")}
    pairs |= {f"{name}{_FIRST}": f"{name}{_FIRST_NORM}" for name in branches}
    for conv, norm in pairs.items():
        if conv not in layers or norm not in layers:
            continue
        bias = f"{modules[conv]}.bias"
        own = [f"{modules[norm]}.{part}" for part in _NORM_PARTS]
        if bias not in tensors or any(key in tensors for key in own):
            continue
        count += 1
        found |= _adding(modules[norm], found.pop(bias), layers[norm].epsilon)
        name = conv.removesuffix(_FIRST)
        if name in branches:
            found |= _silent(name, found[f"{modules[conv]}.weight"], layers, modules)
    if count:
        log.warning(
            "%s: batch normalisation is folded into its convolutions, and its means and variances are not in the file: "
            "%d of the model's do nothing but add biases; predictions are the file's, but training, which normalises "
            "by its own batches, starts from other maps",
            path,
            count,
        )
    return found


def _adding(module: str, bias: np.ndarray, epsilon: float) -> dict[str, np.ndarray]:
    """Tensors of a normalisation that adds a bias (C,)."""
    return {
        f"{module}.weight": np.full(bias.shape, np.sqrt(1 + epsilon), np.float32),
        f"{module}.bias": bias,
        f"{module}.running_mean": np.zeros(bias.shape, np.float32),
        f"{module}.running_var": np.ones(bias.shape, np.float32),
    }


def _silent(
    name: str,
    kernel: np.ndarray,
    layers: Mapping[str, keras.layers.Layer],
    modules: Mapping[str, str],
) -> dict[str, np.ndarray]:
    """Tensors of the branches beside a 3x3 kernel (filters, C, 3, 3) that has all of them in it."""
    zeros = np.zeros(len(kernel), np.float32)
    found = _adding(modules[f"{name}{_OTHER_NORM}"], zeros, layers[f"{name}{_OTHER_NORM}"].epsilon)
    found[f"{modules[f'{name}{_OTHER}']}.weight"] = np.zeros((*kernel.shape[:2], 1, 1), np.float32)
    if f"{name}{_ITSELF}" in layers:
        module = modules[f"{name}{_ITSELF}"]
        found |= _adding(module, zeros, layers[f"{name}{_ITSELF}"].epsilon)
        found[f"{module}.weight"] = zeros
    return found
