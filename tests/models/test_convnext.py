"""ConvNeXt: features, dilation, and factors of channels that begin with next to nothing."""

import keras
import numpy as np
import pytest
from shapes_only import shapes_only

import kzoo
from kzoo.backbones.convnext import convnext
from kzoo.weights.applications import backbone_of


def maps(**arguments):
    with shapes_only():
        return [tuple(f.shape[2:]) for f in convnext(keras.Input((64, 96, 3)), depth=0.05, **arguments)]


def test_features_at_strides_4_to_32():
    assert maps() == [(24, 96), (12, 192), (6, 384), (3, 768)]
    assert maps(output_stride=8) == [(24, 96), (12, 192), (12, 384), (12, 768)]
    with pytest.raises(ValueError, match="output_stride=4; give 8, 16 or 32"):
        maps(output_stride=4)


def test_blocks_do_next_to_nothing_at_first():
    model = kzoo.build("convnext-tiny", num_classes=2, width=0.25, depth=0.05, image_size=(64, 64))
    scale = model.network.get_layer("backbone_stage1_0_scale")
    np.testing.assert_allclose(scale.layer_scale, np.full(24, 1e-6), rtol=1e-6)
    assert backbone_of(model) == ("convnext-tiny", False)
