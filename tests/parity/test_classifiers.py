"""EfficientNets, MobileNets and ConvNeXt: the same numbers as torchvision, timm and keras.applications."""

import importlib.util
import re

import keras
import numpy as np
import pytest
import torch_reference as reference
from applications_file import applications_file
from keras import ops

import kzoo
from kzoo.layers.normalize import NORMALIZATIONS
from kzoo.registry import entry

SIZES = [(96, 96), (64, 128)]
SIDE = 128  # of the images of keras.applications' models
LIMIT = 1e-4
# Of the normalisations that end a residual branch: torchvision's and timm's.
ENDS = r"block\.[23]\.1$|conv\.[23]$|bn3$"
SLOW, EXHAUSTIVE = pytest.mark.slow, pytest.mark.exhaustive


def marked(names, quick=()):
    """The first of a family by default, others `slow`, those with a twin `exhaustive`."""
    twins = re.compile(r"efficientnet-(b[1-7]|lite[1-4])")
    marks = [() if name in quick else EXHAUSTIVE if twins.fullmatch(name) else SLOW for name, *_ in names]
    return [pytest.param(*each, marks=mark) for each, mark in zip(names, marks, strict=True)]


def differ(ours, theirs):
    assert 0.05 < theirs.std() < 10, "the network is dead, or its numbers are not of order one"
    return np.abs(ops.convert_to_numpy(ours) - theirs).max()


def check_torch(network, model, path, kind="imagenet"):
    """Logits, and the counts of what is trained and of statistics."""
    import torch

    buffers = [b.numel() for key, b in network.named_buffers() if "tracked" not in key]
    trained = sum(p.numel() for p in network.parameters())
    assert model.count_params() == trained + sum(buffers) == entry(model.name).parameters
    mean, deviation = np.float32(NORMALIZATIONS[kind])
    worst = 0.0
    for height, width in SIZES:
        images = reference.photographs(height, width)
        pixels = torch.from_numpy(((images - mean) / deviation).transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            theirs = network(pixels).numpy()
        worst = max(worst, differ(model(images)["logits"], theirs))
    print(f"{model.name} {path.name}: {worst:.1e}")
    assert worst <= LIMIT


TORCHVISION = [
    ("mobilenetv2", "mobilenet_v2"),
    ("mobilenetv3-small", "mobilenet_v3_small"),
    ("mobilenetv3-large", "mobilenet_v3_large"),
    ("convnext-tiny", "convnext_tiny"),
    *((f"efficientnet-b{i}", f"efficientnet_b{i}") for i in range(8)),
]


@pytest.mark.parametrize(
    "name, published", marked(TORCHVISION, ("mobilenetv3-small", "convnext-tiny", "efficientnet-b0"))
)
def test_torchvision(name, published, shared, tmp_path):
    vision = reference.torchvision(shared)
    import torch

    torch.manual_seed(0)
    network = reference.settled(getattr(vision.models, published)(weights=None), ENDS)
    path = tmp_path / f"{published}.pth"
    torch.save(network.state_dict(), path)
    check_torch(network, kzoo.build(name, weights=path), path)


TIMM = [
    ("mobilenetv2", "mobilenetv2_100", "imagenet"),
    ("mobilenetv3-small", "mobilenetv3_small_100", "imagenet"),
    ("mobilenetv3-large", "mobilenetv3_large_100", "imagenet"),
    ("mobilenetv3-large", "tf_mobilenetv3_large_100", "inception"),
    ("convnext-tiny", "convnext_tiny", "imagenet"),
    ("efficientnet-b0", "efficientnet_b0", "imagenet"),
    ("efficientnet-b1", "tf_efficientnet_b1", "imagenet"),
    ("efficientnet-lite0", "efficientnet_lite0", "imagenet"),
    ("efficientnet-lite0", "tf_efficientnet_lite0", "inception"),
    ("efficientnet-lite2", "tf_efficientnet_lite2", "inception"),
]


@pytest.mark.parametrize("name, published, kind", marked(TIMM, ("efficientnet-lite0",)))
def test_timm(name, published, kind, shared, tmp_path):
    reference.torchvision(shared)  # which timm imports
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed; pip install -e '.[parity]'")
    import timm
    from safetensors.torch import save_file

    keras.utils.set_random_seed(0)
    network = reference.settled(timm.create_model(published, pretrained=False), ENDS)
    path = tmp_path / published / "model.safetensors"
    path.parent.mkdir()
    save_file(network.state_dict(), path)
    check_torch(network, kzoo.build(name, weights=path), path, kind)


APPLICATIONS = [
    ("mobilenetv2", "MobileNetV2", "inception"),
    ("mobilenetv3-small", "MobileNetV3Small", "inception"),
    ("mobilenetv3-large", "MobileNetV3Large", "inception"),
    ("convnext-tiny", "ConvNeXtTiny", "imagenet"),
    *((f"efficientnet-b{i}", f"EfficientNetB{i}", "imagenet") for i in range(8)),
]


@pytest.mark.parametrize("name, published, kind", marked(APPLICATIONS))
def test_applications(name, published, kind, tmp_path):
    """Weights of a whole model, and of the features alone, in the layout that is published."""
    keras.utils.set_random_seed(0)
    build = getattr(keras.applications, published)
    theirs = lively(build(weights=None, classifier_activation=None, input_shape=(SIDE, SIDE, 3)), kind)
    path = applications_file(theirs, tmp_path)
    model = kzoo.build(name, weights=path)
    # Three means, three variances and a count, of EfficientNets' images.
    normalisation = 7 if name.startswith("efficientnet") else 0
    assert model.count_params() == theirs.count_params() - normalisation == entry(name).parameters
    images = reference.photographs(SIDE, SIDE, 2, seed=3)
    # Random weights say nothing of how images are normalised, so EfficientNets get what their publishers' get.
    given = 255 * (images - np.float32(NORMALIZATIONS[kind][0])) / np.float32(NORMALIZATIONS[kind][1])
    scaled_within = {"mobilenetv2": given / 255, "mobilenetv3": images, "convnext": images}
    x = next((x for family, x in scaled_within.items() if name.startswith(family)), given)
    wanted = ops.convert_to_numpy(theirs(np.asarray(x, np.float32), training=False))
    worst = differ(model(images)["logits"], wanted)
    print(f"{name} {published}: {worst:.1e}")
    assert worst <= LIMIT
    backbone = kzoo.build(name, num_classes=2, backbone_weights=path)
    layer = next(layer for layer in model.network.layers[::-1] if layer.name.endswith("project_conv"))
    np.testing.assert_array_equal(backbone.network.get_layer(layer.name).kernel, layer.kernel)


def lively(model, kind):
    """Statistics of what goes through a network, and branches that add up to order one."""
    rng = np.random.default_rng(0)
    norms = [layer for layer in leaves(model) if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in leaves(model):
        if type(layer).__name__ == "LayerScale":
            layer.gamma.assign(rng.uniform(0.1, 0.4, layer.gamma.shape))
        elif layer.name in ("predictions", "logits") or layer.name.endswith("dense"):
            kernel = layer.kernel
            kernel.assign(rng.normal(0, (2 / kernel.shape[-2]) ** 0.5, kernel.shape))
    for norm in norms:
        scale = 0.25 if "project" in norm.name else 1.0
        norm.momentum = 0.0
        norm.gamma.assign(rng.uniform(0.6 * scale, 1.2 * scale, norm.gamma.shape))
        norm.beta.assign(rng.normal(0, 0.2 * scale, norm.beta.shape))
    images = rng.integers(0, 256, (4, SIDE, SIDE, 3)).astype("float32")
    if kind == "inception" and not any(isinstance(layer, keras.layers.Rescaling) for layer in model.layers):
        images = images / 127.5 - 1
    elif any(layer.name.startswith("normalization") for layer in model.layers):  # EfficientNets
        images = 255 * (images - 120) / 58
    model(images, training=True)
    for norm in norms:
        variance = ops.convert_to_numpy(norm.moving_variance)
        norm.moving_variance.assign(np.maximum(variance, np.median(variance) / 2))
    return model


def leaves(model):
    return [layer for layer in model._flatten_layers(include_self=False) if layer.weights]
