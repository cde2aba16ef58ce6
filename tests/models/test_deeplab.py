"""DeepLabv3 and DeepLabv3+: options, sizes, exports of the image's mean."""

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.layers.aspp import SpreadLike, aspp

SMALL = {"num_classes": 3, "width": 0.25, "depth": 0.34, "image_size": (64, 64)}


def build(name="deeplabv3", **arguments):
    keras.utils.set_random_seed(0)
    return kzoo.build(name, **{**SMALL, **arguments})


@pytest.mark.parametrize("stride, rates", [(8, (12, 24, 36)), (16, (6, 12, 18))])
@pytest.mark.parametrize("name", ["deeplabv3", "deeplabv3plus"])
def test_output_strides(name, stride, rates):
    model = build(name, output_stride=stride)
    found = [model.network.get_layer(f"neck_aspp{i}_conv").dilation_rate[0] for i in (1, 2, 3)]
    assert tuple(found) == rates
    side = 64 // (4 if name == "deeplabv3plus" else stride)
    images = np.zeros((1, 64, 80, 3), np.uint8)
    assert model.network(images).shape[1:3] == (side, side * 80 // 64)
    assert model(images)["logits"].shape == (1, 64, 80, 3)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"output_stride": 32}, "output_stride=32; give 8 or 16"),
        ({"image_size": (64, 68)}, "multiples of 8"),
        ({"name": "deeplabv3plus", "image_size": (64, 72)}, "multiples of 16"),
        ({"backbone": "vgg16"}, "backbone='vgg16': .*give one of resnet18"),
        ({"hybrid": (2, 4)}, r"rates=\(2, 4\): see"),
    ],
)
def test_what_is_not_possible_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        build(**arguments)
    assert "\n" not in str(caught.value)


def test_the_auxiliary_classifier_learns_from_the_third_stage():
    plain, whole = build(backbone="resnet18"), build(backbone="resnet18", auxiliary=True)
    assert whole.head.auxiliary == 0.5
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    targets = {"mask": np.random.default_rng(1).integers(0, 3, (2, 64, 64)).astype("int32")}
    outputs = whole(images, training=True)
    assert outputs["auxiliary"].shape == outputs["logits"].shape == (2, 64, 64, 3)
    losses = whole.head.loss(targets, outputs)
    assert set(losses) == {"ce", "auxiliary"} and set(plain.head.loss(targets, plain(images))) == {"ce"}
    third = whole.network.get_layer("backbone_layer3_0_relu").output.shape[-1]
    assert whole.network.outputs[1].shape[-1] == third // 4


def test_the_mean_is_of_the_whole_image_at_any_size():
    """A branch of the mean alone is the same everywhere, whatever the size; the others are not."""
    inputs = keras.Input((None, None, 4))
    network = keras.Model(inputs, aspp(inputs, (6, 12, 18), 8))
    spread = keras.Model(inputs, network.get_layer("neck_aspp4_spread").output)
    for size in ((1, 4, 5, 4), (1, 9, 7, 4)):
        x = np.random.default_rng(0).normal(size=size).astype("float32")
        branch = ops.convert_to_numpy(spread(x))
        assert branch.shape == (*size[:3], 8) and np.ptp(branch, axis=(1, 2)).max() == 0 and branch.std() > 0
        # Moving the pixels about does not change a mean.
        np.testing.assert_allclose(ops.convert_to_numpy(spread(x[:, ::-1])), branch, atol=1e-6)


def test_spreading_repeats_a_vector():
    layer = SpreadLike()
    like = np.full((2, 3, 5, 7), 9, np.float32)
    vector = np.arange(4, dtype=np.float32).reshape(2, 1, 1, 2)
    out = ops.convert_to_numpy(layer([vector, like]))
    np.testing.assert_array_equal(out, np.broadcast_to(vector, (2, 3, 5, 2)))
    assert layer.compute_output_shape([(None, 1, 1, 2), (None, None, None, 7)]) == (None, None, None, 2)
