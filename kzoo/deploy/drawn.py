"""Models with numbers as training might leave them, for exports to be compared on."""

from __future__ import annotations

import keras
import numpy as np

from kzoo.heads.grid import GridHead
from kzoo.heads.heat_layers import HeatLayers


def drawn(model, seed: int = 0):
    """Draws statistics, biases and last kernels anew, in place; untrained, nothing is found and norms do nothing.

    Args:
        model: a `ZooModel`.
        seed: the seed of what is drawn, 0 by default.

    Returns:
        The model.
    """
    rng = np.random.default_rng(seed)
    for layer in model.network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            ranges = ((0.4, 0.8), (-0.3, 0.3), (-0.2, 0.2), (0.5, 1.5))
            layer.set_weights([rng.uniform(*limits, layer.gamma.shape) for limits in ranges])
    # Wide enough apart that a rounding error does not swap two scores.
    for conv in getattr(model.head, "convs", ()):
        kernel, bias = conv.get_weights()
        conv.set_weights([kernel * 3, rng.normal(0, 1, bias.shape)])
    if isinstance(model.head, GridHead):
        _draw_grid(model, rng)
    # Boxes stay about their anchors: one that is clipped to nothing has no overlap to be compared by.
    for part, scale in (("class", 1.0), ("box", 0.3)):
        for layer in getattr(model.head, f"{part}_layers", ()):
            if hasattr(layer, "kernel"):
                _draw_kernel(layer, rng, scale)
    # Heat maps begin with next to the same everywhere, and sizes about 0.
    for branch in model.head.branches if isinstance(model.head, HeatLayers) else ():
        for kind, (*_, last) in branch.items():
            _draw_kernel(last, rng, 3.0)
            last.bias.assign(np.full(last.bias.shape, 4.0 if kind == "size" else 0.0))
    return model


def _draw_kernel(layer, rng: np.random.Generator, scale: float) -> None:
    """Draws a kernel whose results are `scale` times as far apart as what it is laid on."""
    deviation = scale * np.prod(layer.kernel.shape[:3]) ** -0.5
    layer.kernel.assign(rng.normal(0, deviation, layer.kernel.shape))


def _draw_grid(model, rng: np.random.Generator) -> None:
    """Draws the biases of YOLOv1's last layer, which gives scores and boxes as they are."""
    head, dense = model.head, model.network.layers[-1]
    scores = head.cells * (head.num_classes + head.boxes_per_cell)
    bias = np.concatenate([rng.uniform(0.2, 0.9, scores), rng.uniform(0.3, 0.7, head.length - scores)])
    dense.set_weights([dense.get_weights()[0], bias])
