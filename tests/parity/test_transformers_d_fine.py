"""D-FINE beside transformers: raw outputs with the same random weights, read by their names there."""

import importlib

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


@pytest.mark.slow
def test_raw_outputs(shared, tmp_path):
    transformers(shared)
    config = importlib.import_module("transformers.models.d_fine.configuration_d_fine")
    hgnet = importlib.import_module("transformers.models.hgnet_v2.configuration_hgnet_v2")
    outputs = [24, 96, 192, 384]  # B2's at a quarter of the width
    backbone = hgnet.HGNetV2Config(
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, *outputs[:-1]],
        stage_mid_channels=[8, 16, 32, 64],
        stage_out_channels=outputs,
        stage_num_blocks=[1, 1, 3, 1],
        stage_numb_of_layers=[4, 4, 4, 4],
        use_learnable_affine_block=True,
        out_indices=[2, 3, 4],
    )
    hidden = int(256 * WIDTH)
    settings = config.DFineConfig(
        backbone_config=backbone,
        encoder_in_channels=outputs[1:],
        encoder_hidden_dim=hidden,
        encoder_ffn_dim=4 * hidden,
        d_model=hidden,
        decoder_in_channels=[hidden] * 3,
        decoder_ffn_dim=2 * hidden,
        decoder_layers=4,
        decoder_n_points=[3, 6, 3],
        depth_mult=0.67,
        num_queries=QUERIES,
        num_labels=SMALL["num_classes"],
        freeze_backbone_batch_norms=False,
    )
    theirs = made(settings, "DFine", "d_fine")
    path = written(theirs, tmp_path / "model.safetensors")
    ours = kzoo.build("d-fine-m", image_size=96, weights=path, **SMALL)
    images = photographs()
    compared(ours, theirs, images, images / np.float32(255))
