"""The same numbers as torchvision's networks, from their own state dicts."""

import numpy as np
import pytest
import torch_reference as reference
from keras import ops

import kzoo
from kzoo.registry import entry

SIZES = [(96, 96), (64, 136)]
LIMIT = 1e-4


@pytest.fixture(scope="module")
def vision(shared):
    return reference.torchvision(shared)


def saved(network, folder, name="weights.pth"):
    import torch

    torch.save(network.state_dict(), folder / name)
    return folder / name


def parameters(model):
    """Weights that a gradient moves: what torch counts as parameters."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def differ(ours, theirs):
    """The largest difference of channels-last numbers and torch's."""
    theirs = theirs.numpy()
    theirs = theirs.transpose(0, 2, 3, 1) if theirs.ndim == 4 else theirs
    assert 0.05 < theirs.std() < 10, "the network is dead, or its numbers are not of order one"
    return np.abs(ops.convert_to_numpy(ours) - theirs).max()


SEGMENTERS = [
    ("fcn-resnet50", "fcn_resnet50", 35_322_218),
    ("deeplabv3", "deeplabv3_resnet50", 42_004_074),
]


@pytest.mark.parametrize("name, published, count", SEGMENTERS)
def test_segmenters(name, published, count, vision, tmp_path):
    import torch

    build = getattr(vision.models.segmentation, published)
    network = reference.lived_in(build(weights=None, weights_backbone=None, num_classes=21, aux_loss=True))
    path = saved(network, tmp_path)
    whole = kzoo.build(name, auxiliary=True, weights=path)
    assert parameters(whole) == count == sum(p.numel() for p in network.parameters())
    plain = kzoo.build(name, weights=path)  # the auxiliary classifier is left in the file
    for height, width in SIZES:
        images = reference.photographs(height, width)
        with torch.no_grad():
            theirs = network(reference.as_torch(images))
        outputs = whole(images)
        assert differ(outputs["logits"], theirs["out"]) <= LIMIT
        assert differ(outputs["auxiliary"], theirs["aux"]) <= LIMIT
        assert differ(plain(images)["logits"], theirs["out"]) <= LIMIT


def test_without_an_auxiliary_classifier(vision, tmp_path):
    network = vision.models.segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=4
    )
    path = saved(network, tmp_path)
    assert parameters(kzoo.build("deeplabv3", num_classes=4, weights=path)) == sum(
        p.numel() for p in network.parameters()
    )
    with pytest.raises(ValueError, match=r"lacks aux_classifier\.0\.weight, aux_classifier\.1\.weight"):
        kzoo.build("deeplabv3", num_classes=4, auxiliary=True, weights=path)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet101"])
def test_classifiers(name, vision, tmp_path):
    import torch

    network = reference.lived_in(getattr(vision.models, name)(weights=None))
    model = kzoo.build(name, weights=saved(network, tmp_path))
    statistics = model.count_params() - parameters(model)
    assert parameters(model) == sum(p.numel() for p in network.parameters())
    assert statistics == sum(b.numel() for key, b in network.named_buffers() if "tracked" not in key)
    for height, width in SIZES:
        images = reference.photographs(height, width)
        with torch.no_grad():
            theirs = network(reference.as_torch(images))
        assert differ(model(images)["logits"], theirs) <= LIMIT


@pytest.mark.parametrize("stride", [8, 16])
def test_dilated_backbones(stride, vision, tmp_path):
    """The four stages, with dilation in the place of stride."""
    import keras
    import torch

    from kzoo.backbones.resnet import resnet
    from kzoo.heads.classify import ClassifyHead
    from kzoo.layers.normalize import normalized
    from kzoo.model import ZooModel
    from kzoo.weights.loading import load_backbone

    replace = [False, stride == 8, True]
    network = reference.lived_in(
        vision.models.resnet50(weights=None, replace_stride_with_dilation=replace), side=64
    )
    inputs = keras.Input((None, None, 3), name="images")
    features = resnet(normalized(inputs), "resnet50", stride)
    model = ZooModel(keras.Model(inputs, features), ClassifyHead(2), (64, 64), name="dilated")
    load_backbone(model, saved(network, tmp_path))
    parts = vision.models._utils.IntermediateLayerGetter(
        network, {f"layer{i}": f"layer{i}" for i in range(1, 5)}
    )
    images = reference.photographs(64, 80)
    with torch.no_grad():
        theirs = parts(reference.as_torch(images))
    for ours, layer in zip(model.network(images), ("layer1", "layer2", "layer3", "layer4"), strict=True):
        assert differ(ours, theirs[layer]) <= LIMIT


@pytest.mark.slow
def test_vgg16(vision, tmp_path):
    import torch

    torch.manual_seed(0)
    network = vision.models.vgg16(weights=None).eval()
    for linear in (network.classifier[i] for i in (0, 3, 6)):
        torch.nn.init.kaiming_normal_(linear.weight)
    path = saved(network, tmp_path)
    model = kzoo.build("vgg16", weights=path)
    assert model.count_params() == entry("vgg16").parameters
    images = reference.photographs(224, 224)
    with torch.no_grad():
        theirs = network(reference.as_torch(images))
    assert differ(model(images)["logits"], theirs) <= LIMIT
    del model
    fcn = kzoo.build("fcn32", num_classes=2, backbone_weights=path)
    stored = network.state_dict()["classifier.0.weight"].numpy().reshape(4096, 512, 7, 7)
    kernel = fcn.network.get_layer("backbone_fc6").kernel
    np.testing.assert_array_equal(kernel, stored.transpose(2, 3, 1, 0))


def test_vgg16_with_batch_norm(vision, tmp_path):
    import torch

    network = vision.models.vgg16_bn(weights=None).features
    reference.lived_in(network)
    state = {f"features.{key}": value for key, value in network.state_dict().items()}
    torch.save(state, tmp_path / "bn.pth")
    model = _features(batch_norm=True)
    from kzoo.weights.loading import load_backbone

    load_backbone(model, tmp_path / "bn.pth")
    images = reference.photographs(64, 96)
    with torch.no_grad():
        theirs = network(reference.as_torch(images))
    assert differ(model.network(images)[-1], theirs) <= LIMIT


def _features(**arguments):
    """VGG16 without its classifier."""
    import keras

    from kzoo.backbones.vgg import vgg16
    from kzoo.heads.classify import ClassifyHead
    from kzoo.layers.normalize import normalized
    from kzoo.model import ZooModel

    inputs = keras.Input((None, None, 3), name="images")
    network = keras.Model(inputs, vgg16(normalized(inputs), **arguments))
    return ZooModel(network, ClassifyHead(2), (64, 64), name="features")
