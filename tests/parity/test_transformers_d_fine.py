"""D-FINE beside transformers: raw outputs with the same random weights, read by their names there."""

import copy
import importlib
from dataclasses import dataclass

import numpy as np
import pytest
from test_transformers_rt_detr import (
    QUERIES,
    SMALL,
    WIDTH,
    compared,
    made,
    photographs,
    transformers,
    written,
)

import kzoo
from kzoo.backbones.hgnet import HGNETS
from kzoo.layers.conv import scaled


@dataclass(frozen=True)
class Variant:
    """What the authors' configuration of a letter says, at full width."""

    backbone: str
    hidden: int = 256
    feedforward: int = 1024
    expansion: float = 1.0
    depth: float = 1.0
    layers: int = 6
    points: tuple[int, ...] = (3, 6, 3)
    channels: int = 256
    scale: float = 4.0


VARIANTS = {
    "n": Variant("hgnetv2-b0", 128, 512, 0.34, 0.5, 3, (6, 6), 128),
    "s": Variant("hgnetv2-b0", expansion=0.5, depth=0.34, layers=3),
    "m": Variant("hgnetv2-b2", depth=0.67, layers=4),
    "l": Variant("hgnetv2-b4"),
    "x": Variant("hgnetv2-b5", 384, 2048, scale=8.0),
}


def d_fine(variant):
    """transformers' D-FINE at the tests' width."""
    config = importlib.import_module("transformers.models.d_fine.configuration_d_fine")
    hgnet = importlib.import_module("transformers.models.hgnet_v2.configuration_hgnet_v2")
    known, levels = VARIANTS[variant], len(VARIANTS[variant].points)
    body = HGNETS[known.backbone]
    inner, outputs = ([scaled(stage[part], WIDTH) for stage in body.stages] for part in (0, 1))
    stem = [scaled(channels, WIDTH) for channels in body.stem]
    backbone = hgnet.HGNetV2Config(
        hidden_sizes=outputs,
        stem_channels=[3, *stem],
        stage_in_channels=[stem[-1], *outputs[:-1]],
        stage_mid_channels=inner,
        stage_out_channels=outputs,
        stage_num_blocks=[stage[2] for stage in body.stages],
        stage_numb_of_layers=[body.depth] * 4,
        use_learnable_affine_block=body.affine,
        out_indices=[2, 3, 4][-levels:],
    )
    hidden = scaled(known.hidden, WIDTH)
    settings = config.DFineConfig(
        backbone_config=backbone,
        encoder_in_channels=outputs[-levels:],
        encoder_hidden_dim=hidden,
        encoder_ffn_dim=scaled(known.feedforward, WIDTH),
        encode_proj_layers=[levels - 1],
        feat_strides=[8, 16, 32][-levels:],
        hidden_expansion=known.expansion,
        depth_mult=known.depth,
        d_model=scaled(known.channels, WIDTH),
        decoder_in_channels=[hidden] * levels,
        decoder_ffn_dim=scaled(512, WIDTH),
        decoder_layers=known.layers,
        decoder_n_points=list(known.points),
        num_feature_levels=levels,
        reg_scale=known.scale,
        num_queries=QUERIES,
        num_labels=SMALL["num_classes"],
        freeze_backbone_batch_norms=False,
    )
    return made(settings, "DFine", "d_fine")


def rounding(theirs, scaled):
    """How far the reference's logits in float32 are from its own in float64."""
    import torch

    pixels = torch.tensor(scaled).permute(0, 3, 1, 2)
    with torch.no_grad():
        single = theirs(pixels).logits
        double = copy.deepcopy(theirs).double()(pixels.double()).logits
    return (single - double).abs().max().item()


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_raw_outputs(shared, variant, tmp_path):
    transformers(shared)
    theirs = d_fine(variant)
    path = written(theirs, tmp_path / "model.safetensors")
    ours = kzoo.build(f"d-fine-{variant}", image_size=96, weights=path, **SMALL)
    images = photographs()
    scaled = images / np.float32(255)
    # l and x are so deep that random weights turn float32's rounding into 5e-4 of the logits, in the reference itself.
    limit = max(1e-4, 3 * rounding(theirs, scaled))
    assert limit < 2e-3
    compared(ours, theirs, images, scaled, limit)
