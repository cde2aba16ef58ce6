"""Exports that leave the suppression to others: to whoever reads them, or to an operator of ONNX."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kzoo.inference.detect import with_nms
from kzoo.system.quiet import native_output_hidden

# What an export is asked for -> what its head gives in the place of detections.
LEFT_OPEN = {"none": "candidates", "onnx": "pairs"}
# Settings of the suppression by the names that heads have for them -> by those of `kzoo.ops.nms.pair_nms`.
SETTINGS = {
    "nms_threshold": "iou_threshold",
    "score_threshold": "score_threshold",
    "max_detections": "max_detections",
    "class_agnostic": "class_agnostic",
    "nms_kind": "kind",
    "nms_beta": "beta",
    "nms_sigma": "sigma",
}


def with_own_nms(model, nms: str | None):
    """The model whose detections an export with this suppression gives.

    Args:
        model: a `ZooModel`, which stays as it is.
        nms: one of `kzoo.ops.nms.KINDS`, "none" or "onnx", which is greedy; None for the model's own way.
    """
    return with_nms(model, {"none": None, "onnx": "greedy"}.get(nms, nms))


def left_open(model, nms: str | None, format: str) -> str:
    """What an export gives in the place of detections: "candidates", "pairs", or "" where it gives them.

    Args:
        model: a `ZooModel`.
        nms: what is asked for: a kind of suppression, "none" or "onnx"; None for the model's own way.
        format: the format that is written.

    Raises:
        ValueError: the model, or the format, cannot leave it to others.
    """
    if nms not in LEFT_OPEN:
        return ""
    head = model.head
    if not hasattr(head, "nms_kind"):
        raise ValueError(f"nms={nms!r}: {model.name} is for the task {model.task!r}; leave it out")
    if nms == "onnx" and format not in ("onnx", "openvino"):
        raise ValueError(
            f"nms='onnx': an operator of ONNX, which format={format!r} has not; give format='onnx' or 'openvino', or "
            "nms='none'"
        )
    if not head.nms_last:
        raise ValueError(
            f"nms={nms!r}: {model.name} goes on with what its suppression leaves; give nms='greedy', or leave it out"
        )
    if not getattr(head, "suppresses", True):
        raise ValueError(
            f"nms={nms!r}: {model.name} suppresses nothing, so that nothing is left open; leave it out"
        )
    return LEFT_OPEN[nms]


def suppressed(found: Mapping[str, np.ndarray], decoding: Mapping) -> dict[str, np.ndarray]:
    """Detections of what a file without suppression gives, as the model itself would find them.

    Args:
        found: `boxes` (B, N, 4) and either `scores` (B, N, C) of all classes, or `scores` and `labels` (B, N) of pairs,
            where they are predicted with the boxes' `variance` (B, N, 4). Anything else is handed on.
        decoding: settings by the names that heads have for them, as `Metadata.decoding` keeps them.
    """
    with native_output_hidden():  # where nothing else has started Keras
        from keras import ops

        from kzoo.ops.nms import multiclass_nms, pair_nms

    settings = {own: decoding[name] for name, own in SETTINGS.items()}
    left = {name: values for name, values in found.items() if name not in _GIVEN}
    given = {name: ops.convert_to_tensor(values) for name, values in found.items() if name in _GIVEN}
    if "labels" in given:
        detections = pair_nms(**given, **settings)
    else:
        detections = multiclass_nms(**given, candidates=decoding["candidates"], **settings)
    return {**{name: ops.convert_to_numpy(values) for name, values in detections.items()}, **left}


_GIVEN = ("boxes", "scores", "labels", "variance")
