"""DETR and its successors beside transformers: raw outputs with the same random weights, read by their names there."""

import importlib
import importlib.util

import numpy as np
import pytest
from keras import ops
from torch_reference import torchvision

import kzoo
from kzoo.layers.positions import LearntMap

CLASSES, QUERIES = 5, 20
SMALL = {"width": 0.25, "num_classes": CLASSES, "queries": QUERIES}
KINDS = {  # module and class there, and what it is given besides
    "detr-r50": ("detr", "Detr", {"d_model": 64}),
    "detr-r50-dc5": ("detr", "Detr", {"d_model": 64}),
    "conditional-detr-r50": ("conditional_detr", "ConditionalDetr", {"d_model": 64}),
    "dab-detr-r50": ("dab_detr", "DabDetr", {"hidden_size": 64}),
}
# Depth here; and blocks of the stages, and layers of encoder and decoder, there. Only a second block is dilated.
DEPTHS = {"detr-r50-dc5": (0.5, [2, 2, 3, 2], 3)}
USUAL = (0.34, [1, 1, 2, 1], 2)


def dilated(model, models):
    """Strides and dilations of torchvision's ResNet with a dilated last stage, in the place of transformers'."""
    import torch

    known = models.resnet50(replace_stride_with_dilation=[False, False, True]).layer4
    stage = model.model.backbone.model.encoder.stages[3]
    for ours, theirs in zip(stage.layers, known, strict=False):
        pairs = [(ours.layer[i].convolution, getattr(theirs, f"conv{i + 1}")) for i in range(3)]
        if theirs.downsample is not None:
            pairs.append((ours.shortcut.convolution, theirs.downsample[0]))
        for here, there in pairs:
            assert isinstance(here, torch.nn.Conv2d) and here.kernel_size == there.kernel_size
            here.stride, here.dilation, here.padding = there.stride, there.dilation, there.padding


@pytest.fixture(scope="module")
def reference(shared):
    """Makes transformers' model of a name here, small, with random weights and statistics."""
    models = torchvision(shared).models  # which transformers imports
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed; pip install -e '.[parity]'")
    import torch

    def make(name):
        (module, kind, width), (_, blocks, layers) = KINDS[name], DEPTHS.get(name, USUAL)
        there = importlib.import_module(f"transformers.models.{module}.modeling_{module}")
        config = importlib.import_module(f"transformers.models.{module}.configuration_{module}")
        resnet = importlib.import_module("transformers.models.resnet.configuration_resnet")
        backbone = resnet.ResNetConfig(
            embedding_size=16,
            hidden_sizes=[64, 128, 256, 512],
            depths=blocks,
            out_features=["stage4"],
        )
        settings = getattr(config, f"{kind}Config")(
            use_timm_backbone=False,
            use_pretrained_backbone=False,
            backbone=None,
            backbone_config=backbone,
            num_queries=QUERIES,
            encoder_layers=layers,
            decoder_layers=layers,
            encoder_ffn_dim=512,
            decoder_ffn_dim=512,
            num_labels=CLASSES,
            **width,
        )
        torch.manual_seed(0)
        model = getattr(there, f"{kind}ForObjectDetection")(settings).eval()
        if name.endswith("dc5"):
            dilated(model, models)
        with torch.no_grad():
            for key, value in model.state_dict().items():
                if key.endswith(("running_var", "normalization.weight", "norm.weight")):
                    value.uniform_(0.5, 1.5)
                elif value.ndim == 2 and "embeddings" in key:
                    value.normal_()
                elif value.ndim == 2:
                    # DAB-DETR's authors cut logits further than transformers, which shows where boxes nearly fill the
                    # image, or nothing; so its boxes move little.
                    little = name == "dab-detr-r50" and "bbox" in key
                    torch.nn.init.xavier_uniform_(value, 0.3 if little else 2.0)
                elif value.ndim == 1 and key.endswith("bias"):
                    value.add_(0.1 * torch.randn(value.shape))
        return model

    return make


def test_learnt_positions(shared):
    torchvision(shared)
    there = pytest.importorskip("transformers.models.detr.modeling_detr")
    import torch

    theirs, mine = there.DetrLearnedPositionEmbedding(8), LearntMap(16)
    maps = np.zeros((2, 5, 7, 3), np.float32)
    mine.build(maps.shape)
    for own, known in ((mine.columns, theirs.column_embeddings), (mine.rows, theirs.row_embeddings)):
        own.assign(known.weight.detach().numpy())
    with torch.no_grad():
        wanted = theirs((2, 3, 5, 7), "cpu", torch.float32).permute(0, 2, 3, 1).reshape(2, 35, 16)
    np.testing.assert_array_equal(mine(maps), wanted[:1])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in DEPTHS else name for name in KINDS]
)
def test_raw_outputs(reference, name, tmp_path):
    import torch
    from safetensors.torch import save_file

    theirs = reference(name)
    path = tmp_path / "model.safetensors"
    state = {key: value.clone() for key, value in theirs.state_dict().items()}
    save_file(state, path)
    depth = DEPTHS.get(name, USUAL)[0]
    ours = kzoo.build(name, image_size=96, weights=path, depth=depth, **SMALL)
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 64, 3), np.uint8)
    mean, deviation = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])
    with torch.no_grad():
        wanted = theirs(torch.tensor((images - mean) / deviation).permute(0, 3, 1, 2))
    outputs = ours(images, training=False)
    logits = wanted.logits.numpy()
    logits = np.roll(logits, 1, axis=-1) if name.startswith("detr") else logits
    assert wanted.pred_boxes.numpy().std(axis=1).max() > 1e-3 and logits.std() > 0.1
    np.testing.assert_allclose(ops.convert_to_numpy(outputs["class"]), logits, atol=1e-4)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs["box"]), wanted.pred_boxes.numpy(), atol=1e-4)
