"""VGG16: stages, dilation, and the same numbers as keras.applications from its files."""

import keras
import numpy as np
import pytest
from applications_file import applications_file
from keras import ops
from shapes_only import shapes_only

import kzoo
from kzoo.backbones.vgg import vgg16
from kzoo.heads.classify import ClassifyHead
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel
from kzoo.registry import entry
from kzoo.weights.applications import fetch_imagenet
from kzoo.weights.loading import load_backbone

SMALL = {"width": 0.25, "depth": 0.5, "image_size": (64, 64)}


def maps(**arguments):
    """The feature maps' shapes of an image of 64 by 96 pixels."""
    inputs = keras.Input((64, 96, 3))
    return [feature.shape[1:] for feature in vgg16(inputs, **arguments)]


def test_stages_after_their_poolings_and_before():
    channels = (64, 128, 256, 512, 512)
    assert maps() == [(64 >> i, 96 >> i, c) for i, c in enumerate(channels, 1)]
    assert maps(pooled=False) == [(64 >> i, 96 >> i, c) for i, c in enumerate(channels)]
    assert maps(pools=3)[2:] == [(8, 12, 256), (8, 12, 512), (8, 12, 512)]


@pytest.mark.parametrize("hybrid, rates", [(None, [2, 2, 2]), ((1, 2, 5), [1, 2, 5])])
def test_dilation_stands_for_poolings(hybrid, rates):
    inputs = keras.Input((64, 64, 3))
    network = keras.Model(inputs, vgg16(inputs, 0.25, pools=3, hybrid=hybrid))
    layers = [network.get_layer(f"backbone_block5_conv{i}") for i in (1, 2, 3)]
    assert [layer.dilation_rate for layer in layers] == [(rate, rate) for rate in rates]
    assert network.get_layer("backbone_block4_conv3").dilation_rate == (1, 1)


def test_odd_sides_are_rounded_up():
    inputs = keras.Input((300, 300, 3))
    assert [f.shape[1] for f in vgg16(inputs, 0.125, pooled=False)] == [300, 150, 75, 38, 19]


def lively(model):
    """keras.applications' own initial weights let numbers fade away over sixteen layers."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            scale = np.sqrt(2 / np.prod(kernel.shape[:-1]))
            layer.set_weights(
                [rng.standard_normal(kernel.shape, np.float32) * scale, rng.normal(0, 0.1, bias.shape)]
            )
    first = model.layers[1]
    first.set_weights([first.get_weights()[0] / 70, first.get_weights()[1]])  # grey levels come in
    return model


def preprocessed(images):
    return keras.applications.vgg16.preprocess_input(images.astype("float32"))


def test_features_equal_keras_applications(tmp_path):
    theirs = lively(keras.applications.VGG16(include_top=False, weights=None))
    path = applications_file(theirs, tmp_path)
    inputs = keras.Input((None, None, 3), name="images")
    network = keras.Model(inputs, vgg16(normalized(inputs, "caffe")))
    model = load_backbone(ZooModel(network, ClassifyHead(2), (64, 64), name="features"), path)
    for side in (64, 96):
        images = np.random.default_rng(side).integers(0, 256, (2, side, 128, 3), np.uint8)
        wanted = ops.convert_to_numpy(theirs(preprocessed(images)))
        assert 0.1 < wanted.std() < 10
        np.testing.assert_allclose(model.network(images)[-1], wanted, atol=1e-4)
    # The fully convolutional layers are the classifier's, which this file is without.
    with shapes_only(), pytest.raises(ValueError, match=r"weights\.h5: does not fit fcn32: lacks fc1, fc2"):
        kzoo.build("fcn32", num_classes=2, backbone_weights=path, width=1.0)


@pytest.mark.slow
def test_the_classifier_equals_keras_applications(tmp_path):
    theirs = lively(keras.applications.VGG16(weights=None, classifier_activation=None))
    theirs.save(tmp_path / "whole.h5")
    model = kzoo.build("vgg16", weights=tmp_path / "whole.h5")
    assert model.count_params() == theirs.count_params() == entry("vgg16").parameters
    images = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
    wanted = ops.convert_to_numpy(theirs(preprocessed(images)))
    assert 0.1 < wanted.std() < 10
    np.testing.assert_allclose(model(images)["logits"], wanted, atol=1e-4)


def test_larger_images_are_classified_by_the_mean_over_places():
    keras.utils.set_random_seed(0)
    model = kzoo.build("vgg16", num_classes=3, image_size=(224, 224), width=0.125)
    image = np.random.default_rng(0).integers(0, 256, (1, 224, 256, 3), np.uint8)
    places = model.network(image)
    assert places.shape[1:3] == (1, 2)
    left, right = (model.head.classifier(places[:, 0, i]) for i in (0, 1))
    np.testing.assert_allclose(model(image)["logits"], (left + right) / 2, atol=1e-5)


@pytest.mark.long
def test_a_classifier_hands_its_backbone_over(tmp_path):
    keras.utils.set_random_seed(0)
    kzoo.build("vgg16", num_classes=5, normalize="caffe", **SMALL).save(tmp_path / "vgg16.keras")
    trained = kzoo.load(tmp_path / "vgg16.keras")
    for name in ("fcn16", "dilated8"):
        model = kzoo.build(name, num_classes=3, backbone_weights=tmp_path / "vgg16.keras", **SMALL)
        for layer in ("backbone_block5_conv1", "backbone_fc6"):
            np.testing.assert_array_equal(
                model.network.get_layer(layer).kernel, trained.network.get_layer(layer).kernel
            )
        offset = model.network.get_layer("backbone_normalize").offset
        np.testing.assert_allclose(offset, [-123.68, -116.779, -103.939])  # the file's, not the default


def test_imagenet_offline_says_what_to_put_where(tmp_path, monkeypatch):
    from kzoo.weights import published

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def offline(address, part):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(published, "_receive", offline)
    inputs = keras.Input((None, None, 3), name="images")
    network = keras.Model(inputs, vgg16(normalized(inputs, "caffe")))
    with pytest.raises(OSError) as caught:
        load_backbone(ZooModel(network, ClassifyHead(2), (64, 64), name="mine"), "imagenet")
    said = str(caught.value)
    assert "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5: cannot be fetched (Network is" in said
    assert f"put the file at {tmp_path / 'kzoo'}" in said and "\n" not in said


def test_imagenet_is_not_fetched_for_other_widths():
    with pytest.raises(ValueError, match=r"'imagenet': were published for vgg16 at width 1"):
        kzoo.build("fcn8", num_classes=2, width=0.25, backbone_weights="imagenet", image_size=(64, 64))


def test_imagenet_from_the_cache(tmp_path, monkeypatch):
    """The file lies where a fetched one would; another one there is refused."""
    from kzoo.weights import applications

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    theirs = lively(keras.applications.VGG16(include_top=False, weights=None))
    inputs = keras.Input((None, None, 3), name="images")
    network = keras.Model(inputs, vgg16(normalized(inputs, "caffe")))
    model = ZooModel(network, ClassifyHead(2), (64, 64), name="mine")
    place = tmp_path / "kzoo" / applications._FILES["vgg16"].file
    place.parent.mkdir()
    applications_file(theirs, tmp_path).rename(place)
    with pytest.raises(ValueError, match=r"its md5 is .*remove it"):
        fetch_imagenet(model)
    row = applications.Published(applications._FILES["vgg16"].address, "none", backbone=True)
    monkeypatch.setitem(applications._FILES, "vgg16", row)
    load_backbone(model, "imagenet")
    kernel = theirs.get_layer("block1_conv1").kernel
    ours = model.network.get_layer("backbone_block1_conv1").kernel
    np.testing.assert_array_equal(ours, ops.flip(kernel, axis=2))


def test_an_unknown_normalization():
    with pytest.raises(ValueError, match="normalize='imagnet'; give one of imagenet, caffe"):
        kzoo.build("vgg16", num_classes=3, normalize="imagnet", **SMALL)
