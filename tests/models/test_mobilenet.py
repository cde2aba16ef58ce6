"""MobileNets: features, and which of them is which."""

import keras
import pytest
from shapes_only import shapes_only

import kzoo
from kzoo.backbones.mobilenet import mobilenet
from kzoo.weights.applications import backbone_of


def channels(**arguments):
    with shapes_only():
        features = mobilenet(keras.Input((64, 96, 3)), depth=0.05, **arguments)
    return [(feature.shape[2], feature.shape[3]) for feature in features]


@pytest.mark.long
def test_features_at_strides_4_to_32():
    assert channels() == [(24, 24), (12, 32), (6, 96), (3, 320)]
    assert channels(variant="mobilenetv3-large") == [(24, 24), (12, 40), (6, 112), (3, 160)]
    assert channels(variant="mobilenetv3-small") == [(24, 16), (12, 24), (6, 48), (3, 96)]
    assert channels(variant="mobilenetv3-small", stem=True, top=True)[::4] == [(48, 16), (3, 576)]
    assert channels(output_stride=16)[2:] == [(6, 96), (6, 320)]


@pytest.mark.long
def test_which_is_which_and_what_is_none():
    with shapes_only():
        assert backbone_of(kzoo.build("mobilenetv3-small")) == ("mobilenetv3-small", True)
        for name in ("mobilenetv2", "mobilenetv3-large", "mobilenetv3-small"):
            assert backbone_of(kzoo.build(name, width=0.5, depth=0.05)) == (name, False)
    with pytest.raises(
        ValueError, match="backbone='mobilenetv4': no such MobileNet; give one of mobilenetv2"
    ):
        kzoo.build("mobilenetv2", backbone="mobilenetv4")
