"""A model as it is run rather than trained: float32, batch normalisation and side branches in the convolutions."""

from __future__ import annotations

from kzoo.layers.folding import folded_network
from kzoo.model import ZooModel
from kzoo.policy import check_settings, dtype_policy


def inference_model(model: ZooModel, left_open: str = "") -> ZooModel:
    """A copy of the model for export: the same results from fewer operations, in float32 whatever its policy.

    Args:
        model: the model to copy, which stays as it is.
        left_open: what a detector gives in the place of detections: see `kzoo.heads.detection.DetectionHead`.
    """
    check_settings()
    # Parts of parts, too, whatever policy is set now.
    with dtype_policy("float32"):
        head = type(model.head).from_config({**model.head.get_config(), "dtype": "float32"})
        copy = model.remade(folded_network(model.network, float32=True), head)
    head.set_weights(model.head.get_weights())
    if left_open:
        head.left_open = left_open
    return copy
