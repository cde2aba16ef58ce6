"""YOLOP: its defaults, other sizes and backbones, and what its last layers are."""

import numpy as np
import pytest

import kzoo
from kzoo.heads import DriveHead
from kzoo.layers.activations import activation_of

SMALL = {"width": 0.25, "depth": 0.05, "image_size": (64, 64)}


@pytest.fixture(scope="module")
def model():
    return kzoo.build("yolop", **SMALL)


def test_it_is_of_one_class_and_trains_none(model):
    head = model.head
    assert isinstance(head, DriveHead) and head.num_classes == 1 and head.class_weight == 0
    assert head.anchors[0] == [[3.0, 9.0], [5.0, 11.0], [4.0, 20.0]] and head.assigner == "ratio"
    assert (head.drivable_weight, head.lane_weight) == (0.2, 0.2)


def test_maps_are_as_large_as_the_images_and_end_in_an_activation(model):
    outputs = model(np.zeros((1, 96, 64, 3), np.uint8), training=False)
    assert outputs["drivable"].shape == outputs["lanes"].shape == (1, 96, 64, 2)
    assert [outputs[level].shape[1:3] for level in model.head.levels] == [(12, 8), (6, 4), (3, 2)]
    for number in (33, 42):
        assert activation_of(model.network.get_layer(f"branch_layer{number}_act")) == "hardswish"
    # Of a block the concatenation has an activation of its own.
    assert activation_of(model.network.get_layer("backbone_layer2_act")) == "leaky"


def test_on_another_backbone():
    built = kzoo.build("yolop", backbone="mobilenetv3-small", num_classes=2, **SMALL)
    outputs = built(np.zeros((1, 64, 64, 3), np.uint8), training=False)
    assert outputs["stride8"].shape == (1, 8, 8, 21) and outputs["lanes"].shape == (1, 64, 64, 2)


def test_options_of_the_head_are_checked():
    with pytest.raises(ValueError, match="lane_weight"):
        kzoo.build("yolop", lane_weight=-1.0, **SMALL)
    with pytest.raises(ValueError, match="did you mean"):
        kzoo.build("yolop", lane_wight=1.0, **SMALL)


@pytest.mark.long
def test_state_dicts_that_do_not_fit_are_named(tmp_path):
    from safetensors.numpy import save_file

    save_file({"model.0.conv.conv.weight": np.zeros((32, 12, 3, 3), np.float32)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"lacks .*model\.0\.conv\.bn\.weight") as refusal:
        kzoo.build("yolop", weights=tmp_path / "a.safetensors", **SMALL)
    assert "\n" not in str(refusal.value)
