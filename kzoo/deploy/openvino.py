"""OpenVINO folders: the model in its own form, made from the ONNX one, and the description beside it."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from kzoo.deploy.graph import INPUT, PARTS, Graph, split_at_head
from kzoo.deploy.metadata import Metadata
from kzoo.deploy.onnx import convert
from kzoo.deploy.opening import OPENVINO_FILE, openvino_package
from kzoo.model import ZooModel
from kzoo.system.quiet import native_output_hidden


def write_openvino(
    path: Path, model: ZooModel, meta: Metadata, calibration: Iterable[np.ndarray] = (), part: str = "whole"
) -> None:
    """Writes a model that was made ready by `inference_model`.

    Args:
        path: the folder to write, which must not exist.
        model: the model to write.
        meta: the description of the export, which says how it is quantised. Weights of "float16" take half the place;
            "bfloat16" is what whoever opens the folder is told to compute in.
        calibration: batches of one image (1, H, W, 3) uint8 as the network will see them, for int8.
        part: the part to write: "whole", "network" (to the raw outputs) or "decoding" (from them).

    Raises:
        ImportError: the extra `openvino` or `onnx` is not installed.
    """
    openvino_package()  # before what takes its time
    if meta.quantize == "int8":
        made = _in_int8(model, meta, calibration, part == "whole")
    else:
        made = _converted(PARTS[part](model, meta))
    store(path, made, meta)


def store(path: Path, made, meta: Metadata) -> None:
    """Writes an `openvino.Model` and its description.

    Args:
        path: the folder to write, which must not exist.
        made: the model.
        meta: the description, which says whether weights are stored as float16.
    """
    path.mkdir()
    openvino_package().save_model(made, path / OPENVINO_FILE, compress_to_fp16=meta.quantize == "float16")
    meta.store(path)


def read(source: Path | io.BytesIO):
    """An `openvino.Model` from an ONNX file or its content, in which equal values keep their order."""
    model = openvino_package().Core().read_model(source)
    _keep_order(model)
    return model


def _keep_order(model) -> None:
    """Has each selection of the largest, in loops too, take of equal values those of lower indices first.

    ONNX says so of `TopK`. OpenVINO's reader leaves it open, and then which boxes come first, or are taken at all, is
    other than anywhere else.

    Args:
        model: an `openvino.Model`, changed in place.
    """
    for node in model.get_ops():
        if node.get_type_name() == "TopK":
            node.set_attribute("stable", True)
        elif node.get_type_name() == "Loop":
            _keep_order(node.get_function())


def _converted(graph: Graph):
    """An `openvino.Model` that computes a function."""
    return read(io.BytesIO(convert(graph).SerializeToString()))


def _in_int8(model: ZooModel, meta: Metadata, calibration: Iterable[np.ndarray], decode: bool):
    """Integers where the time goes; floats in the head's last layers, in decoding and in suppression, as in TFLite."""
    try:
        with native_output_hidden():
            import nncf
    except ImportError as error:
        raise ImportError(
            f"quantize='int8' for OpenVINO needs one more package ({error}): pip install 'kzoo[openvino]'"
        ) from error

    network, head = (_converted(graph) for graph in split_at_head(model, meta, decode))
    count = meta.batch_size or 1
    inputs = [{INPUT: np.repeat(image, count, axis=0)} for image in calibration]
    with native_output_hidden():
        # Ranges that are not the same on both sides of 0, for activations that are not: leaky, SiLU, Mish.
        quantised = nncf.quantize(
            network, nncf.Dataset(inputs), preset=nncf.QuantizationPreset.MIXED, subset_size=len(inputs)
        )
    return _joined(quantised, head)


def _joined(first, second):
    """One `openvino.Model` that feeds the first's outputs to the inputs of the same names of the second."""
    made = {name: output.get_node().input_value(0) for output in first.outputs for name in output.get_names()}
    for parameter in second.get_parameters():
        taken = next(made[name] for name in parameter.output(0).get_names() if name in made)
        for place in parameter.output(0).get_target_inputs():
            place.replace_source_output(taken)
    return openvino_package().Model(second.get_results(), first.get_parameters(), "joined")
