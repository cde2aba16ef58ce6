"""From a model to a SavedModel, TFLite, ONNX or OpenVINO file that needs nothing of kzoo to run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from kzoo.augment.letterbox import check_resize, fit
from kzoo.deploy.metadata import Metadata
from kzoo.deploy.suppression import left_open, with_own_nms
from kzoo.options import checked, refuse_idle
from kzoo.options.exports import EXPORT, EXPORT_SUFFIXES, NUMBERS, SUFFIXES
from kzoo.system.files import disk_error, replacing, sweep
from kzoo.system.memory import check_batch

log = logging.getLogger("kzoo")
DEFAULT_FOLDER = Path("saved_models")
CALIBRATION_IMAGES = 100


@checked(EXPORT)
def export(
    model,
    path: str | Path | None = None,
    format: str | None = None,
    quantize: str | None = None,
    data=None,
    image_size: Sequence[int] | None = None,
    batch_size: int | str | None = None,
    name: str | None = None,
    resize: str | None = None,
    nms: str | None = None,
    opset: int | None = None,
) -> Path:
    """Writes a model with normalisation, decoding and suppression inside.

    The input is `images` (B, H, W, 3) uint8 RGB, of its size; the outputs are what `predict` gives: for a
    detector `boxes` (B, M, 4) xyxy pixels of the input, `scores` (B, M) and `labels` (B, M), -1 = none, and where it
    finds masks `masks` (B, M, S, S), probabilities inside each box, and of roads `drivable` and `lanes` (B, H, W), 0
    or 1, and of `cornernet-saccade` `looks` (B, L, 4), where to look again; for a segmenter `mask` (B, H, W) and
    `probabilities` (B, H, W, classes). Class names, input size, thresholds and the way photographs are resized are
    stored with it. Weights and arithmetic are float32, unless quantised.

    Args:
        model: a `ZooModel`.
        path: the file, or the folder of a SavedModel; where None `saved_models/NAME/VERSION`, with the next free
            version, or `saved_models/NAME` with the format's suffix, such as `.onnx`. What is there already is replaced
            once the new one is whole.
        format: "saved_model", "tflite", "onnx" or "openvino", which is a folder, too; where None, by the path's suffix:
            SavedModel for none.
        quantize: how TFLite and OpenVINO keep weights: "float16" halves the file; "int8" also computes all but the
            head's last layers in integers; "bfloat16", of OpenVINO alone, computes in shorter floats; float32 where
            None.
        data: a dataset with `__len__` and `__getitem__` -> `Sample`, or images (N, H, W, 3) uint8, for int8: about a
            hundred images that look like those to come.
        image_size: height and width in pixels; the model's own where None.
        batch_size: number of images that the graph takes at once, or "dynamic" for any; where None any, but for TFLite,
            which takes 1.
        name: what the export calls itself; the model's own name where None.
        resize: how photographs become its input: one of `kzoo.augment.RESIZES`; the model's own way where None.
        nms: how a detector suppresses boxes that overlap: one of `kzoo.ops.nms.KINDS`; the model's own way where None;
            "none" leaves it to whoever opens the file, as `kzoo.load` does: `scores` (B, N, classes) of all `boxes`
            (B, N, 4), or of heads that rate pairs of a box and a class `scores` and `labels` (B, N); "onnx" has
            ONNX's `NonMaxSuppression` do it, greedily.
        opset: the version of the operators of an ONNX file, 13 to 18; 17 where None.

    Returns:
        What was written.

    Raises:
        ValueError: arguments that do not go together.
        ImportError: an extra is not installed.
        OSError: the place cannot be written; what was there stays.

    Example:
        >>> kzoo.export(model, "cells.tflite", quantize="int8", data=kzoo.data.load("bccd", split="train"))
    """
    from kzoo.deploy.inference import inference_model

    _check_model(model)
    model = with_own_nms(model, nms)
    resize = check_resize(model.resize if resize is None else resize)
    image_size = model.check_size(image_size or model.image_size)
    format = check_format(path, format, quantize, data, opset)
    opened = left_open(model, nms, format)
    batch_size = _batch(batch_size, format)
    check_batch(batch_size or 1, image_size)
    if quantize == "int8" and model.head.needs_proposals:
        raise ValueError(
            f"quantize='int8': {model.name} takes proposals, whose edges integers would round; give float16, or leave "
            "it out"
        )
    meta = Metadata.of(model, image_size, batch_size, quantize, name, resize, opened != "candidates")
    target = Path(path) if path is not None else _default_path(meta.name, format)
    _check_target(target, format)
    images = calibration_images(data, image_size, meta.resize) if quantize == "int8" else ()
    if "looks" in meta.decoding:
        log.warning(
            "%s: takes one look, and says where to look again, as detect(..., method='saccade') does", target
        )
    sweep(target.parent, [target.name])
    with _naming_disks(target), replacing(target) as fresh:
        write(fresh, inference_model(model, opened), format, meta, images, opset=opset)
    return target


@contextlib.contextmanager
def _naming_disks(target: Path) -> Iterator[None]:
    """Says in one line what TensorFlow and others say of a disk in pages, and of which file."""
    try:
        yield
    except Exception as error:
        reason = disk_error(error)
        if reason is None:
            raise
        kept = "; what was there is whole" if target.exists() else ""
        raise OSError(
            f"{target}: cannot be written ({reason.strerror}){kept}; make room, or give another folder"
        ) from error


def write(
    path: Path,
    model,
    format: str,
    meta: Metadata,
    images: Iterable[np.ndarray] = (),
    part: str = "whole",
    opset: int | None = None,
) -> None:
    """Writes a model, or a part of it, that was made ready by `inference_model`.

    Args:
        path: the file or folder to write, which must not exist.
        model: the model to write.
        format: one of `kzoo.options.exports.FORMATS`.
        meta: the description of the export.
        images: batches of one image (1, H, W, 3) uint8 as the network will see them, for int8.
        part: the part to write: "whole", "network" (to the raw outputs) or "decoding" (from them).
        opset: the version of ONNX's operators, for ONNX alone; `kzoo.deploy.onnx.OPSET` where None.
    """
    if format == "saved_model":
        from kzoo.deploy.graph import PARTS, write_saved_model
        from kzoo.deploy.saved_model import describe

        write_saved_model(path, PARTS[part](model, meta))
        describe(path, meta)
    elif format == "tflite":
        from kzoo.deploy.tflite import write_tflite

        write_tflite(path, model, meta, images, part)
    elif format == "openvino":
        from kzoo.deploy.openvino import write_openvino

        write_openvino(path, model, meta, images, part)
    else:
        from kzoo.deploy.onnx import write_onnx

        write_onnx(path, model, meta, part, opset)


def calibration_images(
    data, image_size, resize: str = "letterbox", count: int = CALIBRATION_IMAGES
) -> Iterator[np.ndarray]:
    """Images as the network will see them, evenly spread over a dataset.

    Args:
        data: a dataset of `Sample`, or images (N, H, W, 3) uint8.
        image_size: height and width in pixels.
        resize: how images are brought to that size: one of `kzoo.augment.RESIZES`.
        count: the most images to give, 100 by default.

    Yields:
        (1, H, W, 3) uint8.
    """
    chosen = np.linspace(0, len(data) - 1, min(count, len(data))).round().astype(int)
    for i in chosen.tolist():
        image = data[i] if isinstance(data, np.ndarray) else data[i].image
        yield fit(np.asarray(image, np.uint8), image_size, resize)[0][None]


def _batch(batch_size: int | str | None, format: str) -> int | None:
    """The number of images that the graph takes at once; None for any."""
    if format != "tflite":
        return None if batch_size == "dynamic" else batch_size
    if batch_size == "dynamic":
        raise ValueError(
            "batch_size='dynamic': format='tflite' takes a number of images, 1 by default; give one"
        )
    return batch_size or 1


def _check_model(model) -> None:
    """Refuses what cannot be exported, and backends that cannot."""
    import keras

    from kzoo.model import ZooModel

    if not isinstance(model, ZooModel):
        raise ValueError(
            f"export: a {type(model).__name__} cannot be exported; build a kzoo model, or load one from .keras"
        )
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"export: needs Keras's TensorFlow backend, not {keras.backend.backend()}; save the model as "
            ".keras and export that file with KERAS_BACKEND=tensorflow"
        )


def check_format(path, format: str | None, quantize: str | None, data, opset: int | None = None) -> str:
    """The format that is asked for, by its name or by the path's suffix.

    Raises:
        ValueError: path, format, quantisation and data do not go together.
    """
    suffix = Path(path).suffix.lower() if path is not None else ""
    by_suffix = next((name for name, ending in SUFFIXES.items() if ending and ending == suffix), None)
    if format is None and not by_suffix and suffix.strip(".0123456789"):
        raise ValueError(
            f"{path}: {suffix} is the suffix of no format; end it in {', '.join(EXPORT_SUFFIXES)}, or give "
            "format='saved_model' (--format saved_model) for a folder of that name"
        )
    format = format or by_suffix or "saved_model"
    if path is not None and SUFFIXES[format] and suffix != SUFFIXES[format]:
        raise ValueError(f"{path}: a file of format {format} must end in {SUFFIXES[format]}")
    if format == "saved_model" and by_suffix:
        raise ValueError(
            f"{path}: a SavedModel is a folder; leave out the suffix, or use format={by_suffix!r}"
        )
    if quantize is not None and quantize not in NUMBERS.get(format, ()):
        takes = " and ".join(f"format={one!r} takes {', '.join(kinds)}" for one, kinds in NUMBERS.items())
        raise ValueError(f"quantize={quantize!r} with format={format!r}: {takes}")
    if opset is not None and format != "onnx":
        raise ValueError(f"opset={opset}: format={format!r} has no such; give format='onnx', or leave it out")
    refuse_idle({"data": data}, EXPORT, {"quantize": quantize}.get)
    if quantize == "int8" and (data is None or (hasattr(data, "__len__") and len(data) == 0)):
        raise ValueError(
            "quantize='int8': needs images to calibrate with; give data=, or --data on the command line"
        )
    return format


def _check_target(target: Path, format: str) -> None:
    """Only an export gives way to an export."""
    from kzoo.deploy.opening import is_openvino
    from kzoo.deploy.saved_model import is_saved_model

    if format == "saved_model":
        if target.is_file():
            raise ValueError(f"{target}: is a file; a SavedModel needs a folder of its own")
        if target.is_dir() and any(target.iterdir()) and not is_saved_model(target):
            raise ValueError(f"{target}: is a folder with other things in it; give a new or empty one")
    elif format == "openvino":
        if target.is_file() or (target.is_dir() and any(target.iterdir()) and not is_openvino(target)):
            raise ValueError(f"{target}: is there, and no export to OpenVINO; give the name of a new folder")
    elif target.is_dir():
        raise ValueError(f"{target}: is a folder; give a file name that ends in {SUFFIXES[format]}")


def _default_path(name: str, format: str) -> Path:
    """Where an export goes that nobody has named a place for."""
    from kzoo.deploy.saved_model import next_version

    if format == "saved_model":
        return next_version(DEFAULT_FOLDER / name)
    return DEFAULT_FOLDER / f"{name}{SUFFIXES[format]}"
