"""DINO: Deformable DETR whose queries begin on chosen cells, trained beside queries that are made of the truth."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from kzoo.heads.dino import DINOHead
from kzoo.layers.conv import repeats, scaled
from kzoo.layers.deformable_encoder import DeformableEncoder
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture, assembled
from kzoo.models.deformable_detr import DEPTH, HEADS, MULTIPLE, STRIDES, decoder_settings, encoded_levels


@architecture(DINOHead, own=("query_width", "heads", "feedforward", "decoder_depth", "dropout"), backbones=())
def dino(
    num_classes: int = 80,
    image_size: Sequence[int] = (800, 800),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet50",
    maps: int = 4,
    batch_norm: str | None = None,
    dropout: float = 0.0,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "dino-r50",
    **head,
) -> ZooModel:
    """DINO on ResNet-50 with four maps: six layers of an encoder, and six of a decoder with 900 queries.

    Args:
        num_classes: number of classes, 1 or more, 80 by default; the published weights have COCO's ids as numbers, 91
            classes.
        image_size: height and width in pixels, (800, 800) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default; of 256 channels and 2048 of the dense layers.
        depth: factor of the backbone's blocks of a stage and of the layers of encoder and decoder, above 0 and up to
            16, 1 by default.
        backbone: one of `kzoo.backbones.named.BACKBONES`, "resnet50" by default.
        maps: number of maps: 4 (default), at strides 8 to 64, or 5, at strides 4 to 64.
        batch_norm: kind of the backbone's batch normalisation, "trained", "frozen" or "synchronized": see
            `kzoo.layers.residual.batch_normalization`. Where None "frozen" with weights or backbone's weights, and
            "trained" without. A ConvNeXt has none.
        dropout: share of weights and channels that is dropped in training, 0 (default) to below 1.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; or the authors' state dict (`.pth`). Untrained
            where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or what `kzoo.weights.loading` takes for
            it. Untrained where None.
        name: name of the model, which messages and files go by, "dino-r50" by default.
        **head: further arguments of `kzoo.heads.dino.DINOHead`, such as `queries` and `denoising`.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Zhang et al. 2022, arXiv:2203.03605; in numbers as the authors' code.
    """
    check_arguments(num_classes, image_size, names, MULTIPLE)
    load = (backbone_weights, weights)
    encoder = DeformableEncoder(
        repeats(DEPTH, depth), HEADS, scaled(2048, width), dropout, position="sine-20", name="neck_encoder"
    )
    network = encoded_levels(width, depth, backbone, batch_norm, load, encoder, maps)
    arguments = {**decoder_settings(width, depth, 2048), "dropout": dropout, **head}
    strides = STRIDES if maps == 4 else (4, *STRIDES)
    head = DINOHead(num_classes, strides, **arguments)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


dino_5_scale = functools.partial(dino, maps=5, name="dino-r50-5scale")
