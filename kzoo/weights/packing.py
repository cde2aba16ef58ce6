"""Trained models in a fifth of their size: kernels as whole numbers of seven bits, with a scale for each channel.

What is packed is unpacked to the same floats everywhere, so that scores of an unpacked model are those of the file. A
packed file is a zip archive of `config.json`, the model as Keras describes it, and `weights.npz`.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np

from kzoo.model import ZooModel
from kzoo.system.files import replacing

SUFFIX = ".kzoo"
_CONFIG, _WEIGHTS = "config.json", "weights.npz"
_LARGEST = (
    63  # of seven bits: with six a detector lost .036 of its mAP, an eighth would take half a megabyte more
)
# Archives hold the day of their members; one that is always the same makes the same bytes of the same model.
_DAY = (1980, 1, 1, 0, 0, 0)


def quantized(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A kernel as whole numbers, and what to multiply them by.

    Args:
        kernel: (..., C) float, or (H, W, C, 1) of a depthwise convolution.

    Returns:
        int8 of the kernel's shape, -63 to 63, and float32 scales that broadcast to it, one a channel: the largest
        number of each channel is 63.

    Example:
        >>> numbers, scales = quantized(kernel)
        >>> np.abs(numbers * scales - kernel).max() <= scales.max() / 2
        True
    """
    channel = kernel.ndim - (2 if kernel.shape[-1] == 1 else 1)
    others = tuple(axis for axis in range(kernel.ndim) if axis != channel)
    largest = np.abs(kernel).max(axis=others, keepdims=True)
    scales = np.where(largest > 0, largest / _LARGEST, 1).astype("float32")
    return np.round(kernel / scales).astype("int8"), scales


def pack(model: ZooModel, path: str | Path) -> Path:
    """Writes a model as a packed file; the same model makes the same bytes.

    Args:
        model: a trained model in float32.
        path: the file; its suffix is `.kzoo`.

    Raises:
        OSError: it cannot be written.

    Example:
        >>> pack(kzoo.load("runs/detect/cards"), "cards.kzoo")
    """
    arrays = {}
    for number, variable in enumerate(model.variables):
        value = keras.ops.convert_to_numpy(variable)
        if variable.name == "kernel" and value.ndim > 1:
            arrays[f"{number}"], arrays[f"{number}_scales"] = quantized(value)
        else:
            arrays[f"{number}"] = value
    held = io.BytesIO()
    np.savez(held, **arrays)  # always of the same day
    members = {
        _CONFIG: json.dumps(keras.saving.serialize_keras_object(model), sort_keys=True).encode(),
        _WEIGHTS: held.getvalue(),
    }
    with (
        replacing(Path(path)) as fresh,
        zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
    ):
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, _DAY), content, zipfile.ZIP_DEFLATED)
    return Path(path)


def unpack(path: str | Path) -> ZooModel:
    """The model of a packed file, in float32.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no packed model, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read(_CONFIG))
            with np.load(io.BytesIO(archive.read(_WEIGHTS))) as arrays:
                held = {name: arrays[name] for name in arrays.files}
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError) as error:
        raise ValueError(f"{path}: no packed model, or damaged; install kzoo anew ({error})") from error
    model = keras.saving.deserialize_keras_object(config)
    for number, variable in enumerate(model.variables):
        scales = held.get(f"{number}_scales", np.float32(1))
        variable.assign(held[f"{number}"] * scales)
    return model
