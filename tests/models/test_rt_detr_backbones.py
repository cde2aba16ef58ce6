"""ResNet-Ds and HGNetV2s: their authors' counts, strides that dilation takes the place of, and averages at the edge."""

import keras
import numpy as np
import pytest
from shapes_only import shapes_only

from kzoo.backbones.named import BACKBONES, backbone_features

# Parameters with frozen normalisation, which has its scales and shifts besides; counted of RT-DETR's own program.
COUNTS = {
    "resnet18d": 11_199_968,
    "resnet34d": 21_308_128,
    "resnet50d": 23_474_016,
    "resnet101d": 42_413_920,
    "hgnetv2-l": 13_507_680,
    "hgnetv2-x": 33_231_840,
}
TRAINED = ("resnet18d", "resnet34d")  # whose normalisation is trained there


def network(name, side=None, **arguments):
    inputs = keras.Input((side, side, 3))
    return keras.Model(inputs, backbone_features(inputs, name, **arguments))


@pytest.mark.parametrize("name", COUNTS)
def test_parameters(name):
    with shapes_only():
        model = network(name, batch_norm="trained" if name in TRAINED else "frozen")
    count = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    assert count == COUNTS[name] and name in BACKBONES


@pytest.mark.parametrize("name", ["resnet18d", "resnet50d", "hgnetv2-b0", "hgnetv2-l"])
@pytest.mark.parametrize(("stride", "sides"), [(32, [16, 8, 4, 2]), (16, [16, 8, 4, 4]), (8, [16, 8, 8, 8])])
def test_output_strides(name, stride, sides):
    with shapes_only():
        model = network(name, 64, output_stride=stride, width=0.25, depth=0.34, stem=True)
    assert [tensor.shape[1] for tensor in model.outputs] == [32, *sides]


def test_a_window_at_the_edge_has_the_mean_of_what_it_has():
    from kzoo.layers.residual import basic_block

    inputs = keras.Input((3, 3, 1))
    model = keras.Model(inputs, basic_block(inputs, 1, "block", 2, pooled=True))
    pooled = keras.Model(inputs, model.get_layer("block_downsample_pool").output)
    given = np.asarray(pooled(np.arange(9, dtype="float32").reshape(1, 3, 3, 1)))[0, ..., 0]
    np.testing.assert_allclose(given, [[2.0, 3.5], [6.5, 8.0]])
