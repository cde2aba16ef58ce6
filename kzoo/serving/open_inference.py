"""The Open Inference Protocol, second version, with its extension for binary tensors: what Triton's clients speak.

Source: the Open Inference Protocol's HTTP/REST specification, and Triton's extension "binary tensor data".
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

import kzoo
from kzoo.serving.pictures import read_json
from kzoo.serving.refusal import Refusal
from kzoo.serving.shelf import Served

HEADER_LENGTH = "Inference-Header-Content-Length"
INPUT = "images"
_TYPES = {
    **{"BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64},
    **{"INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64},
    **{"FP16": np.float16, "FP32": np.float32, "FP64": np.float64},
}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}
_TAKEN = ("UINT8", "FP32")  # of images


def server() -> dict[str, Any]:
    """What the server says of itself."""
    return {"name": "kzoo", "version": kzoo.__version__, "extensions": ["binary_tensor_data"]}


def metadata(served: Served) -> dict[str, Any]:
    """What the server says of a model: names, types and shapes of what goes in and comes out, -1 for any number."""
    outputs = [
        {"name": name, "datatype": _NAMES[dtype], "shape": [-1, *shape]}
        for name, (dtype, shape) in served.runner.outputs.items()
    ]
    images = {"name": INPUT, "datatype": "UINT8", "shape": [-1, *served.runner.size, 3]}
    return {
        "name": served.name,
        "versions": [str(served.version)],
        "platform": "kzoo",
        "inputs": [images],
        "outputs": outputs,
    }


def read_request(data: bytes, length: str | None) -> tuple[dict[str, Any], np.ndarray]:
    """The request and its images (B, h, w, 3) out of a body.

    Args:
        data: the body: JSON, and behind it the tensors that are not in it.
        length: number of bytes of the JSON, as the header says; None where it is all of the body.

    Raises:
        Refusal: it is no such request.
    """
    if length is not None and not (length.isdecimal() and int(length) <= len(data)):
        raise Refusal(400, f"{HEADER_LENGTH}: {length}; give the number of bytes of the JSON")
    end = len(data) if length is None else int(length)
    request = read_json(data[:end])
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Refusal(400, f"inputs: give one, {INPUT!r}")
    if inputs[0].get("name") != INPUT:
        raise Refusal(400, f"inputs: {inputs[0].get('name')!r} is unknown; give {INPUT!r}")
    return request, _tensor(inputs[0], data[end:])


def _tensor(given: dict[str, Any], rest: bytes) -> np.ndarray:
    """The values of an input, out of the JSON or out of the bytes behind it."""
    kind, shape = given.get("datatype"), given.get("shape")
    if kind not in _TAKEN:
        raise Refusal(400, f"datatype: {kind!r}; give {' or '.join(_TAKEN)}")
    whole = isinstance(shape, list) and all(type(side) is int and side > 0 for side in shape)
    if not whole or len(shape) != 4:
        raise Refusal(400, f"shape: {shape!r}; give [images, height, width, 3]")
    dtype, count = np.dtype(_TYPES[kind]), math.prod(shape)
    parameters = given.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        return _from_json(given.get("data"), dtype, shape)
    if size != count * dtype.itemsize or size != len(rest):
        raise Refusal(
            400,
            f"binary_data_size: {size!r}; {shape} of {kind} are {count * dtype.itemsize} bytes, {len(rest)} came",
        )
    return np.frombuffer(rest, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)


def _from_json(values, dtype: np.dtype, shape: list[int]) -> np.ndarray:
    """Values of JSON, nested or in one row, as an array."""
    array = number_array(values, "data")
    if array.size != math.prod(shape):
        raise Refusal(
            400, f"data: {array.size} values, and the shape {shape} has {math.prod(shape)}; give as many"
        )
    return as_type(array, dtype).reshape(shape)


def number_array(values, what: str) -> np.ndarray:
    """Nested lists of numbers as an array.

    Args:
        values: the lists.
        what: what the message calls them.

    Raises:
        Refusal: they are ragged, or no numbers.
    """
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):
        raise Refusal(400, f"{what}: lists of different lengths; give whole tensors") from None
    if array.dtype.kind not in "iuf" or not array.size:
        raise Refusal(400, f"{what}: no numbers; give nested lists of them")
    return array


def as_type(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Numbers as a type that can hold them; a `Refusal` where it cannot."""
    if dtype == np.uint8 and (array.dtype.kind == "f" or array.min() < 0 or array.max() > 255):
        raise Refusal(400, "data: UINT8 are whole numbers from 0 to 255; give these, or FP32")
    return array.astype(dtype)


def response(served: Served, request: dict[str, Any], results: dict[str, np.ndarray]) -> tuple[bytes, dict]:
    """The body and the headers of an answer.

    Args:
        served: the model.
        request: the request, which says which outputs it wants, and whether as bytes.
        results: the outputs by name, each (B, ...).

    Raises:
        Refusal: there is no such output.
    """
    described, tails = [], []
    for name, binary in _wanted(request, list(results)):
        values = results[name]
        row = {"name": name, "datatype": _NAMES[values.dtype], "shape": list(values.shape)}
        if binary:
            tails.append(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())
            row["parameters"] = {"binary_data_size": len(tails[-1])}
        else:
            row["data"] = values.ravel().tolist()
        described.append(row)
    head = {"model_name": served.name, "model_version": str(served.version), "outputs": described}
    if "id" in request:
        head["id"] = str(request["id"])
    text = json.dumps(head).encode()
    if not tails:
        return text, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(text))}
    return b"".join([text, *tails]), headers


def _wanted(request: dict[str, Any], known: list[str]) -> list[tuple[str, bool]]:
    """The names of the outputs that a request wants, and whether as bytes."""
    everywhere = _parameter(request, "binary_data_output", False)
    outputs = request.get("outputs") or [{"name": name} for name in known]
    if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
        raise Refusal(400, "outputs: give a list of objects with a name each")
    for one in outputs:
        if one.get("name") not in known:
            raise Refusal(400, f"outputs: {one.get('name')!r} is unknown; there are {', '.join(known)}")
        if _parameter(one, "classification", 0):
            raise Refusal(400, "classification: is not done here; leave it out")
    return [(one["name"], bool(_parameter(one, "binary_data", everywhere))) for one in outputs]


def _parameter(given: dict[str, Any], name: str, otherwise):
    """A parameter of a request or of an output."""
    parameters = given.get("parameters")
    return parameters.get(name, otherwise) if isinstance(parameters, dict) else otherwise
