"""Models with weights as training might leave them."""

import keras
import numpy as np

from kzoo.heads.grid import GridHead
from kzoo.heads.heat_layers import HeatLayers

SIZE = (64, 64)
NAMES = ["circle", "rectangle", "triangle"]


def randomised(model, seed=0):
    """Statistics and biases as training might leave them; otherwise nothing is found, and norms do nothing."""
    rng = np.random.default_rng(seed)
    for layer in model.network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            ranges = ((0.4, 0.8), (-0.3, 0.3), (-0.2, 0.2), (0.5, 1.5))
            layer.set_weights([rng.uniform(*limits, shape) for limits in ranges])
    # Wide enough apart that a rounding error does not swap two scores.
    for conv in getattr(model.head, "convs", ()):
        kernel, bias = conv.get_weights()
        conv.set_weights([kernel * 3, rng.normal(0, 1, bias.shape)])
    if isinstance(model.head, GridHead):  # the network's last layer gives its numbers as they are
        head, dense = model.head, model.network.layers[-1]
        scores = head.cells * (head.num_classes + head.boxes_per_cell)
        boxes = head.length - scores
        bias = np.concatenate([rng.uniform(0.2, 0.9, scores), rng.uniform(0.3, 0.7, boxes)])
        dense.set_weights([dense.get_weights()[0], bias])
    # Boxes stay about their anchors: one that is clipped to nothing has no overlap to be compared by.
    for part, scale in (("class", 1.0), ("box", 0.3)):
        for layer in getattr(model.head, f"{part}_layers", ()):
            if hasattr(layer, "kernel"):
                deviation = scale * np.prod(layer.kernel.shape[:3]) ** -0.5
                layer.kernel.assign(rng.normal(0, deviation, layer.kernel.shape))
    # Heat maps begin with next to the same everywhere, and sizes about 0.
    for branch in model.head.branches if isinstance(model.head, HeatLayers) else ():
        for kind, (*_, last) in branch.items():
            deviation = 3.0 * np.prod(last.kernel.shape[:3]) ** -0.5
            last.kernel.assign(rng.normal(0, deviation, last.kernel.shape))
            last.bias.assign(np.full(last.bias.shape, 4.0 if kind == "size" else 0.0))
    return model
