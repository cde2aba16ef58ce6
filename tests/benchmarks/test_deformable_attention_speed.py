"""What deformable attention takes beside transformers' form of it in plain torch, forward and backward.

`pytest -m benchmark -s tests/benchmarks/test_deformable_attention_speed.py`
"""

import importlib
import sys

import numpy as np
import pytest
from by_turns import seconds
from keras import ops

from kzoo.layers.deformable_attention import Places, sampled

BATCH, HEADS, CHANNELS, POINTS = 2, 8, 32, 4
SIZES = ((80, 80), (40, 40), (20, 20))  # of a detector at 640 pixels
PLACES = HEADS * len(SIZES) * POINTS


def scene(queries):
    rng = np.random.default_rng(0)
    cells = sum(height * width for height, width in SIZES)
    value = rng.normal(size=(BATCH, cells, HEADS, CHANNELS)).astype("float32")
    locations = rng.uniform(-0.1, 1.1, (BATCH, queries, PLACES, 2)).astype("float32")
    weights = rng.uniform(size=(BATCH, queries, PLACES)).astype("float32")
    return value, locations, weights


def theirs(shared, inputs):
    """Forward, and forward with the gradients, in transformers."""
    torch = pytest.importorskip("torch")
    sys.path.insert(0, str(shared / "parity"))
    importlib.import_module("torchvision_kernels")  # before the module whose operators it brings
    pytest.importorskip("transformers")
    module = importlib.import_module("transformers.models.rt_detr.modeling_rt_detr")
    attention = module.MultiScaleDeformableAttention()
    tensors = [torch.tensor(each, requires_grad=True) for each in inputs]
    shape = (BATCH, -1, HEADS, len(SIZES), POINTS)
    sides = torch.tensor(SIZES)

    def forward():
        value, locations, weights = tensors
        return attention(value, sides, SIZES, None, locations.reshape(*shape, 2), weights.reshape(shape), 64)

    def step():
        return torch.autograd.grad(forward().sum(), tensors)

    def without():
        with torch.no_grad():
            return forward()

    return without, step


def ours(inputs):
    """The same here, as graphs."""
    import tensorflow as tf

    tensors = [tf.constant(each) for each in inputs]

    def forward(value, locations, weights):
        return sampled(value, Places(SIZES, [POINTS] * len(SIZES), HEADS), locations, weights)

    def step(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            total = tf.reduce_sum(forward(*tensors))
        return [tf.convert_to_tensor(each) for each in tape.gradient(total, tensors)]

    graphs = [tf.function(function, autograph=False) for function in (forward, step)]
    return [lambda graph=graph: graph(*tensors) for graph in graphs]


@pytest.mark.benchmark
@pytest.mark.parametrize("queries", [300, 8400])
def test_beside_transformers_plain_torch(shared, queries):
    inputs = scene(queries)
    known, mine = theirs(shared, inputs), ours(inputs)
    wanted = known[0]().numpy()
    np.testing.assert_allclose(ops.convert_to_numpy(mine[0]()), wanted, atol=1e-4)
    forward, step, their_forward, their_step = seconds([*mine, *known], rounds=7)
    print(
        f"\n{queries} queries: forward {1e3 * forward:.0f} ms, transformers {1e3 * their_forward:.0f} ms, "
        f"ratio {forward / their_forward:.2f}; with gradients {1e3 * step:.0f} ms, "
        f"transformers {1e3 * their_step:.0f} ms, ratio {step / their_step:.2f}"
    )
