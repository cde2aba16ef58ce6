"""A model as it is run rather than trained: float32, batch normalisation and side branches in the convolutions."""

from __future__ import annotations

from kzoo.layers.folding import folded_network
from kzoo.model import ZooModel
from kzoo.model.networks import needed_network
from kzoo.policy import check_settings, dtype_policy


def inference_model(model: ZooModel, left_open: str = "") -> ZooModel:
    """A copy of the model for export: the same results from fewer operations, in float32 whatever its policy.

    What serves training alone is not in it, such as an auxiliary classifier or the earlier stacks' branches.

    Args:
        model: the model to copy, which stays as it is.
        left_open: what a detector gives in the place of detections: see `kzoo.heads.detection.DetectionHead`.
    """
    check_settings()
    # Parts of parts, too, whatever policy is set now.
    with dtype_policy("float32"):
        head = model.head.deployed()
        copy = model.remade(folded_network(needed_network(model), float32=True), head)
    trained = model.head.weights
    if len(head.weights) < len(trained):  # of those that are left their paths tell which they are
        values = {weight.path: weight for weight in trained}
        trained = [values[weight.path] for weight in head.weights]
    for weight, value in zip(head.weights, trained, strict=True):
        weight.assign(value)
    if left_open:
        head.left_open = left_open
    return copy
