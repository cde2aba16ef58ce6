"""Deformable convolution beside torchvision's."""

import numpy as np
import pytest
from keras import ops
from torch_reference import torchvision

from kzoo.layers.deformable import DeformableConv2D


@pytest.mark.parametrize(("stride", "dilation", "size"), [(1, 1, 3), (2, 1, 3), (1, 2, 3), (1, 1, 1)])
def test_equals_torchvision(shared, stride, dilation, size):
    """Taps inside of the map, at its edge and far outside, with a mask for each."""
    kernels = torchvision(shared, kernels=True).ops
    import torch

    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 9, 12, 4)).astype("float32")
    layer = DeformableConv2D(5, size, stride, dilation)
    layer.build(x.shape)
    for variable in layer.weights:
        variable.assign(rng.normal(0, 0.7, variable.shape))
    margin = layer.margin
    padded = np.pad(x, [(0, 0), (margin, margin), (margin, margin), (0, 0)])
    raw = ops.conv(padded, layer.offset_kernel, stride, "valid", dilation_rate=dilation) + layer.offset_bias
    raw = np.transpose(ops.convert_to_numpy(raw), (0, 3, 1, 2))
    taps = size * size
    wanted = kernels.deform_conv2d(
        torch.tensor(np.transpose(x, (0, 3, 1, 2))),
        torch.tensor(raw[:, : 2 * taps]),
        torch.tensor(np.transpose(ops.convert_to_numpy(layer.kernel), (3, 2, 0, 1)).copy()),
        torch.tensor(ops.convert_to_numpy(layer.bias)),
        stride,
        margin,
        dilation,
        torch.sigmoid(torch.tensor(raw[:, 2 * taps :])),
    ).numpy()
    assert np.abs(raw[:, : 2 * taps]).max() > 3
    given = np.transpose(ops.convert_to_numpy(layer(x)), (0, 3, 1, 2))
    np.testing.assert_allclose(given, wanted, atol=1e-5, rtol=1e-5)
