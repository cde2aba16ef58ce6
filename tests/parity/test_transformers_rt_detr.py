"""RT-DETR beside transformers: raw outputs with the same random weights, read by their names there."""

import importlib
import importlib.util

import keras
import numpy as np
import pytest
from keras import ops
from torch_reference import lived_in, torchvision

import kzoo
from kzoo.layers.folding import folded_network

CLASSES, QUERIES, WIDTH = 5, 20, 0.25
SMALL = {"width": WIDTH, "num_classes": CLASSES, "queries": QUERIES}
# By variant: kind of the blocks, blocks a stage, encoder's channels and feed-forward, expansion, decoder's layers.
VARIANTS = {
    "r18": ("basic", [2, 2, 2, 2], 256, 1024, 0.5, 3),
    "r34": ("basic", [3, 4, 6, 3], 256, 1024, 0.5, 4),
    "r50m": ("bottleneck", [3, 4, 6, 3], 256, 1024, 0.5, 6),
    "r50": ("bottleneck", [3, 4, 6, 3], 256, 1024, 1.0, 6),
    "r101": ("bottleneck", [3, 4, 23, 3], 384, 2048, 1.0, 6),
}


def transformers(shared):
    """A skipped test where transformers is not there."""
    torchvision(shared)  # which transformers imports
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed; pip install -e '.[parity]'")


def made(settings, kind, module):
    """transformers' detector with random weights, none of which are zeros, and random statistics."""
    import torch

    there = importlib.import_module(f"transformers.models.{module}.modeling_{module}")
    torch.manual_seed(0)
    model = lived_in(getattr(there, f"{kind}ForObjectDetection")(settings))
    with torch.no_grad():
        for key, value in model.named_parameters():
            # Constants stay: D-FINE keeps its scales among the parameters, which files of it all have alike.
            if "backbone" not in key and value.ndim < 4 and value.requires_grad:
                value.add_(0.05 * torch.randn(value.shape))
    return model


def rt_detr(kind, module, variant):
    """transformers' RT-DETR, of either version."""
    blocks, depths, hidden, feedforward, expansion, layers = VARIANTS[variant]
    config = importlib.import_module(f"transformers.models.{module}.configuration_{module}")
    resnet = importlib.import_module("transformers.models.rt_detr.configuration_rt_detr_resnet")
    wide = 4 if blocks == "bottleneck" else 1
    sizes = [int(64 * 2**stage * wide * WIDTH) for stage in range(4)]
    backbone = resnet.RTDetrResNetConfig(
        embedding_size=int(64 * WIDTH),
        hidden_sizes=sizes,
        depths=depths,
        layer_type=blocks,
        out_indices=[2, 3, 4],
    )
    settings = getattr(config, f"{kind}Config")(
        backbone_config=backbone,
        encoder_in_channels=sizes[1:],
        encoder_hidden_dim=int(hidden * WIDTH),
        encoder_ffn_dim=int(feedforward * WIDTH),
        hidden_expansion=expansion,
        d_model=int(256 * WIDTH),
        decoder_in_channels=[int(hidden * WIDTH)] * 3,
        decoder_ffn_dim=int(1024 * WIDTH),
        decoder_layers=layers,
        num_queries=QUERIES,
        num_labels=CLASSES,
        freeze_backbone_batch_norms=False,
    )
    return made(settings, kind, module)


def written(model, path):
    from safetensors.torch import save_file

    save_file({key: value.clone() for key, value in model.state_dict().items()}, path)
    return path


def compared(ours, theirs, images, scaled, limit=1e-4):
    """Raw outputs of both, equal to 1e-4, or to a limit for the logits."""
    import torch

    with torch.no_grad():
        wanted = theirs(torch.tensor(scaled).permute(0, 3, 1, 2))
    outputs = ours(images, training=False)
    logits, boxes = wanted.logits.numpy(), wanted.pred_boxes.numpy()
    assert boxes.std(axis=1).max() > 1e-2 and logits.std() > 0.1
    np.testing.assert_allclose(ops.convert_to_numpy(outputs["class"]), logits, atol=limit)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs["box"]), boxes, atol=1e-4)


def photographs(height=96, width=64):
    return np.random.default_rng(0).integers(0, 256, (2, height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("kind", "variant"),
    [
        ("RTDetr", "r18"),
        *(pytest.param("RTDetr", variant, marks=pytest.mark.slow) for variant in list(VARIANTS)[1:]),
        *(pytest.param("RTDetrV2", variant, marks=pytest.mark.slow) for variant in VARIANTS),
    ],
)
def test_raw_outputs(shared, kind, variant, tmp_path):
    transformers(shared)
    version = {"RTDetr": ("rt_detr", ""), "RTDetrV2": ("rt_detr_v2", "v2-")}[kind]
    theirs = rt_detr(kind, version[0], variant)
    path = written(theirs, tmp_path / "model.safetensors")
    # transformers runs all layers that there are, of which "r50m" here leaves out the last three.
    every = {"decoder_layers": VARIANTS[variant][-1]}
    ours = kzoo.build(f"rt-detr-{version[1]}{variant}", image_size=96, weights=path, **every, **SMALL)
    images = photographs()
    compared(ours, theirs, images, images / np.float32(255))


def test_folded_networks_give_the_same():
    model = kzoo.build("rt-detr-r18", image_size=64, depth=0.34, **SMALL)
    rng = np.random.default_rng(0)
    for layer in model.network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    images = photographs(64).astype("float32")
    folded = folded_network(model.network)
    assert folded.count_params() < model.network.count_params()
    for given, wanted in zip(folded(images), model.features(images, training=False), strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(given), ops.convert_to_numpy(wanted), atol=1e-3, rtol=1e-4
        )
