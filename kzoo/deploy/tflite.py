"""TFLite (LiteRT) files of built-in operators alone; quantised where asked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from kzoo.deploy.graph import INPUT, PARTS, Graph, split_at_head, write_saved_model
from kzoo.deploy.metadata import Metadata
from kzoo.deploy.tflite_join import join
from kzoo.deploy.tflite_metadata import attach
from kzoo.model import ZooModel
from kzoo.system.quiet import native_output_hidden


def write_tflite(
    path: Path, model: ZooModel, meta: Metadata, calibration: Iterable[np.ndarray] = (), part: str = "whole"
) -> None:
    """Writes a model that was made ready by `inference_model`.

    Args:
        path: the file to write.
        model: the model to write.
        meta: the description of the export, which says how it is quantised; its batch size must be a number.
        calibration: batches of one image (1, H, W, 3) uint8 as the network will see them, for int8.
        part: the part to write: "whole", "network" (to the raw outputs) or "decoding" (from them).
    """
    # What is needed on the way lies beside the file, so that there is one disk alone that can be full.
    if meta.quantize == "int8":
        content = _convert_int8(model, meta, calibration, part == "whole", path.parent)
    else:
        content = convert(PARTS[part](model, meta), meta.quantize == "float16", folder=path.parent)
    path.write_bytes(content)
    attach(path, meta)


def convert(
    graph: Graph, half: bool = False, calibration: Iterable[dict] | None = None, folder: Path | None = None
) -> bytes:
    """The content of a TFLite file.

    Args:
        graph: the function that the file computes.
        half: whether the weights are stored as float16.
        calibration: inputs by name; where there are some, weights are stored and results computed in int8, with the
            ranges that these inputs show.
        folder: the folder that keeps a SavedModel on the way; the system's own for such where None.
    """
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        write_saved_model(Path(temporary) / "model", graph)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(Path(temporary) / "model"))
        # No Flex, no custom operators: a stock interpreter runs it, or the conversion fails.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if half or calibration is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if half:
            converter.target_spec.supported_types = [tf.float16]
        if calibration is not None:
            converter.representative_dataset = lambda: iter(calibration)
        try:
            with native_output_hidden():
                return converter.convert()
        except Exception as error:  # ConverterError has no public name
            raise ValueError(f"{graph.owner.name}: TFLite cannot express it: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The line that names the operators, out of pages."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line.startswith(("TF Select ops", "Custom ops"))), lines[0])


def _convert_int8(
    model: ZooModel, meta: Metadata, calibration: Iterable[np.ndarray], decode: bool, folder: Path
) -> bytes:
    """Integers where the time goes; floats in the few operations at the end, which need the precision.

    A box that is rounded to 255 levels across the picture misses it by pixels, so the head's last convolutions,
    decoding and suppression stay float32: two conversions, joined into one file.
    """
    network, head = split_at_head(model, meta, decode)
    inputs = ({INPUT: np.repeat(image, meta.batch_size, axis=0)} for image in calibration)
    return join(convert(network, calibration=inputs, folder=folder), convert(head, folder=folder))
