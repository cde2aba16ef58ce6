"""Residual networks: stages, dilation, freezing, and the same numbers as keras.applications from its files."""

import json
import zipfile

import keras
import numpy as np
import pytest
from applications_file import applications_file
from keras import ops

import kzoo
from kzoo.backbones.resnet import resnet
from kzoo.model import backbone_layers

SMALL = {"width": 0.25, "depth": 0.34, "image_size": (64, 64)}


def network(side=64, **arguments):
    inputs = keras.Input((side, side, 3))
    return keras.Model(inputs, resnet(inputs, **{"variant": "resnet50", "width": 0.25, **arguments}))


@pytest.mark.parametrize("stride, sides", [(32, [16, 8, 4, 2]), (16, [16, 8, 4, 4]), (8, [16, 8, 8, 8])])
def test_output_strides(stride, sides):
    assert [tensor.shape[1] for tensor in network(output_stride=stride).outputs] == sides


@pytest.mark.parametrize(
    "hybrid, rates",
    [(None, {3: [1, 2, 2, 2, 2, 2], 4: [2, 4, 4]}), ((1, 2, 5), {3: [1, 2, 5] * 2, 4: [1, 2, 5]})],
)
def test_dilations_of_a_stage(hybrid, rates):
    """The first block keeps the dilation of the stage before, as in torchvision; or rates go by turns."""
    model = network(output_stride=8, hybrid=hybrid)
    for stage, wanted in rates.items():
        found = [
            model.get_layer(f"backbone_layer{stage}_{i}_conv2").dilation_rate[0] for i in range(len(wanted))
        ]
        assert found == wanted


def test_what_is_not_possible_is_refused():
    with pytest.raises(ValueError, match="output_stride=4; give 8, 16 or 32"):
        network(output_stride=4)
    with pytest.raises(ValueError, match="backbone='resnet49': no such residual network"):
        network(variant="resnet49")
    with pytest.raises(ValueError, match=r"rates=\(2, 2\): see 5 of 9 pixels"):
        network(hybrid=(2, 2))


@pytest.mark.long
def test_width_and_depth_shrink():
    whole = kzoo.build("resnet50", width=0.5).count_params()
    assert kzoo.build("resnet50", width=0.25).count_params() < 0.4 * whole
    assert kzoo.build("resnet50", width=0.5, depth=0.34).count_params() < 0.5 * whole


def test_frozen_batch_norm_stays():
    keras.utils.set_random_seed(0)
    model = kzoo.build("resnet18", num_classes=2, **SMALL)
    for layer in backbone_layers(model):
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    norm = model.network.get_layer("backbone_layer2_0_bn1")
    before = norm.get_weights()
    model.compile("sgd", run_eagerly=True)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    kernel = np.array(model.network.get_layer("backbone_conv1").kernel)
    model.fit(images, {"label": np.array([0, 1])}, verbose=0)
    for ours, theirs in zip(norm.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(kernel, model.network.get_layer("backbone_conv1").kernel)


def lively(model, seed=0):
    """Statistics of what goes through the network, biases everywhere, and branches that add up to order one."""
    rng = np.random.default_rng(seed)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
    for norm in norms:
        norm.momentum = 0.0
        scale = 0.25 if norm.name.endswith("3_bn") else 1.0
        norm.gamma.assign(rng.uniform(0.6 * scale, 1.2 * scale, norm.gamma.shape))
        norm.beta.assign(rng.normal(0, 0.2 * scale, norm.beta.shape))
    model(rng.normal(0, 70, (4, 64, 64, 3)).astype("float32"), training=True)
    for norm in norms:
        norm.moving_mean.assign(norm.moving_mean + 0.1 * ops.sqrt(norm.moving_variance))
        norm.moving_variance.assign(norm.moving_variance * rng.uniform(0.8, 1.25, norm.gamma.shape))
    return model


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A ResNet-50 of keras.applications, and its weights as they are published."""
    folder = tmp_path_factory.mktemp("applications")
    model = lively(keras.applications.ResNet50(include_top=False, weights=None, pooling="avg"))
    return model, applications_file(model, folder)


def photographs(side):
    return np.random.default_rng(side).integers(0, 256, (2, side, 96, 3), np.uint8)


@pytest.mark.long
def test_equals_keras_applications(published):
    """Strides in the first convolutions, caffe's normalisation and the biases come with the file."""
    theirs, path = published
    model = kzoo.build("resnet50", num_classes=2, backbone_weights=path)
    for side in (64, 96):
        images = photographs(side)
        wanted = ops.convert_to_numpy(
            theirs(keras.applications.resnet.preprocess_input(images.astype("float32")))
        )
        assert 0.1 < wanted.std() < 10
        ours = ops.mean(model.network(images), axis=(1, 2))
        np.testing.assert_allclose(ours, wanted, atol=1e-4)


@pytest.mark.slow
def test_what_the_weights_ask_for_goes_on_with_them(published, tmp_path):
    """A model that was built for those weights says so in its file, and the next one built for them follows."""
    model = kzoo.build("resnet50", num_classes=2, backbone_weights=published[1])
    model.save(tmp_path / "a.keras")
    for arguments in ({"backbone_weights": tmp_path / "a.keras"}, {"backbone_weights": published[1]}):
        segmenter = kzoo.build("deeplabv3plus", num_classes=2, **arguments)
        layer = segmenter.network.get_layer
        assert layer("backbone_layer2_0_conv1").strides == (2, 2)
        assert layer("backbone_layer2_0_conv2").strides == (1, 1)
        np.testing.assert_allclose(layer("backbone_normalize").scale, [1, 1, 1])
        np.testing.assert_array_equal(
            layer("backbone_layer4_2_conv3").kernel, model.network.get_layer("backbone_layer4_2_conv3").kernel
        )
    plain = kzoo.build("resnet50", num_classes=2, width=0.25)
    assert plain.network.get_layer("backbone_layer2_0_conv2").strides == (2, 2)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_a_file_that_is_no_model_is_refused_as_such(tmp_path):
    (tmp_path / "a.keras").write_bytes(b"no zip")
    with zipfile.ZipFile(tmp_path / "b.keras", "w") as file:
        file.writestr("config.json", json.dumps([1]))
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save(tmp_path / "c.keras")
    unreadable, foreign = "Keras cannot read this model", "not a model of kzoo"
    for name, words in (("a", unreadable), ("b", unreadable), ("c", foreign)):
        for key in ("weights", "backbone_weights"):
            with pytest.raises(ValueError, match=rf"{name}\.keras: .*{words}") as caught:
                kzoo.build("resnet18", num_classes=2, **{key: tmp_path / f"{name}.keras"}, **SMALL)
            assert "\n" not in str(caught.value)


def test_imagenet_is_there_for_bottlenecks_alone():
    with pytest.raises(ValueError, match=r"backbone_weights='imagenet': nothing of that name"):
        kzoo.build("resnet18", num_classes=2, backbone_weights="imagenet")
