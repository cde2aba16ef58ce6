"""TensorFlow Serving's REST interface: status, metadata, and predictions in rows or in columns.

Source: TensorFlow Serving, "RESTful API".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kzoo.serving.open_inference import INPUT, as_type, number_array
from kzoo.serving.pictures import read_json
from kzoo.serving.refusal import Refusal
from kzoo.serving.shelf import Served

SIGNATURE = "serving_default"
_FIELDS = ("signature_name", "instances", "inputs")
_TYPES = {"f4": "DT_FLOAT", "i8": "DT_INT64", "i4": "DT_INT32", "u1": "DT_UINT8", "b1": "DT_BOOL"}


def status(served: Served) -> dict[str, Any]:
    """The state of a model's version."""
    fine = {"error_code": "OK", "error_message": ""}
    row = {"version": str(served.version), "state": "AVAILABLE", "status": fine}
    return {"model_version_status": [row]}


def metadata(served: Served) -> dict[str, Any]:
    """The signature of a model, with names, types and shapes, -1 for any number."""
    images = _described(INPUT, np.dtype(np.uint8), (*served.runner.size, 3))
    outputs = {name: _described(name, dtype, shape) for name, (dtype, shape) in served.runner.outputs.items()}
    signature = {
        "inputs": {INPUT: images},
        "outputs": outputs,
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": served.name, "signature_name": "", "version": str(served.version)},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }


def _described(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> dict[str, Any]:
    sides = [{"size": str(side), "name": ""} for side in (-1, *shape)]
    kind = _TYPES.get(dtype.str[1:], "DT_INVALID")
    return {"dtype": kind, "tensor_shape": {"dim": sides, "unknown_rank": False}, "name": name}


def read_request(data: bytes) -> tuple[np.ndarray, bool]:
    """The images (B, h, w, 3) of a request, and whether it is in rows (`instances`) rather than columns (`inputs`).

    Args:
        data: the body.

    Raises:
        Refusal: it is no such request.
    """
    request = read_json(data)
    unknown = sorted(set(request) - set(_FIELDS))
    if unknown:
        raise Refusal(400, f"body: unknown field {unknown[0]!r}; known: {', '.join(_FIELDS)}")
    if request.get("signature_name", SIGNATURE) not in ("", SIGNATURE):
        raise Refusal(400, f"signature_name: {request['signature_name']!r}; there is {SIGNATURE} alone")
    by_rows = "instances" in request
    if by_rows == ("inputs" in request):
        raise Refusal(400, "body: give either instances or inputs")
    if by_rows:
        rows = request["instances"]
        if not isinstance(rows, list) or not rows:
            raise Refusal(400, "instances: give a list of images")
        values = [_only(row) for row in rows]
    else:
        values = _only(request["inputs"])
    array = number_array(values, "instances" if by_rows else "inputs")
    kind = np.float32 if array.dtype.kind == "f" else np.uint8
    return as_type(array, np.dtype(kind)), by_rows


def _only(value):
    """The images of a value that has them by name, or is them."""
    if not isinstance(value, dict):
        return value
    if set(value) != {INPUT}:
        raise Refusal(400, f"inputs: {', '.join(map(str, value)) or 'nothing'}; give {INPUT!r} alone")
    return value[INPUT]


def response(results: dict[str, np.ndarray], by_rows: bool) -> dict[str, Any]:
    """The answer in the form of its request.

    Args:
        results: the outputs by name, each (B, ...).
        by_rows: whether it is a list of the images' results.
    """
    columns = {name: value.tolist() for name, value in results.items()}
    if by_rows:
        names = list(columns)
        return {
            "predictions": [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        }
    return {"outputs": columns}
