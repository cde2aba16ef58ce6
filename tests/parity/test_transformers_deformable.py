"""Deformable DETR beside transformers: raw outputs with the same random weights, read by their names there."""

import importlib

import numpy as np
import pytest
from test_transformers_rt_detr import compared, made, photographs, transformers, written

import kzoo

CLASSES, QUERIES, LAYERS = 5, 20, 2
SMALL = {"width": 0.25, "depth": 0.34, "num_classes": CLASSES, "queries": QUERIES}
MEAN, DEVIATION = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])


@pytest.mark.parametrize(
    ("refine", "two_stage"),
    [
        (True, True),
        pytest.param(True, False, marks=pytest.mark.slow),
        pytest.param(False, False, marks=pytest.mark.slow),
    ],
)
def test_raw_outputs(shared, refine, two_stage, tmp_path):
    transformers(shared)
    config = importlib.import_module("transformers.models.deformable_detr.configuration_deformable_detr")
    resnet = importlib.import_module("transformers.models.resnet.configuration_resnet")
    backbone = resnet.ResNetConfig(
        embedding_size=16,
        hidden_sizes=[64, 128, 256, 512],
        depths=[1, 1, 2, 1],
        out_features=["stage2", "stage3", "stage4"],
    )
    settings = config.DeformableDetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        d_model=64,
        num_queries=QUERIES,
        two_stage_num_proposals=QUERIES,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_ffn_dim=256,
        decoder_ffn_dim=256,
        num_labels=CLASSES,
        with_box_refine=refine,
        two_stage=two_stage,
        disable_custom_kernels=True,
    )
    theirs = made(settings, "DeformableDetr", "deformable_detr")
    path = written(theirs, tmp_path / "model.safetensors")
    ours = kzoo.build(
        "deformable-detr-r50", image_size=96, weights=path, refine=refine, two_stage=two_stage, **SMALL
    )
    images = photographs()
    compared(ours, theirs, images, (images - MEAN) / DEVIATION)
