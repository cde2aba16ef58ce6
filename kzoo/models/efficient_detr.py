"""Efficient DETR: queries that begin on the best cells, so that one layer of a decoder is enough."""

from __future__ import annotations

from collections.abc import Sequence

from kzoo.heads.dino import DINOHead
from kzoo.layers.conv import repeats, scaled
from kzoo.layers.deformable_encoder import DeformableEncoder
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture, assembled
from kzoo.models.deformable_detr import HEADS, MULTIPLE, STRIDES, decoder_settings, encoded_levels

ENCODER_DEPTH, FEEDFORWARD = 3, 1024


@architecture(
    DINOHead,
    own=("query_width", "heads", "feedforward", "decoder_depth", "dropout", "learnt_content", "shared"),
    backbones=(),
)
def efficient_detr(
    num_classes: int = 80,
    image_size: Sequence[int] = (800, 800),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet50",
    batch_norm: str | None = None,
    dropout: float = 0.1,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "efficient-detr-r50",
    **head,
) -> ZooModel:
    """Efficient DETR on ResNet-50: three layers of an encoder on four maps, and one of a decoder with 100 queries.

    The authors published no program. What their paper leaves open is as in Deformable DETR and DINO: how positions are
    made of boxes, and numbers of channels. Its queries, 300 at first and ever fewer, are as many all the time here.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (800, 800) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default; of 256 channels and 1024 of the dense layers.
        depth: factor of the backbone's blocks of a stage and of the encoder's layers, above 0 and up to 16, 1 by
            default.
        backbone: one of `kzoo.backbones.named.BACKBONES`, "resnet50" by default.
        batch_norm: kind of the backbone's batch normalisation, "trained", "frozen" or "synchronized": see
            `kzoo.layers.residual.batch_normalization`. Where None "frozen" with weights or backbone's weights, and
            "trained" without. A ConvNeXt has none.
        dropout: share of weights and channels that is dropped in training, 0 to below 1, 0.1 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or what `kzoo.weights.loading` takes for
            it. Untrained where None.
        name: name of the model, which messages and files go by, "efficient-detr-r50" by default.
        **head: further arguments of `kzoo.heads.dino.DINOHead`, such as `queries`. Defaults here are 100 `queries` and
            `max_detections`, `denoising` 0 and `class_weight` 2.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Yao et al. 2021, arXiv:2104.01318, section 4.
    """
    check_arguments(num_classes, image_size, names, MULTIPLE)
    load = (backbone_weights, weights)
    feedforward = scaled(FEEDFORWARD, width)
    encoder = DeformableEncoder(
        repeats(ENCODER_DEPTH, depth), HEADS, feedforward, dropout, name="neck_encoder"
    )
    network = encoded_levels(width, depth, backbone, batch_norm, load, encoder)
    arguments = {
        **decoder_settings(width, depth, FEEDFORWARD),
        "decoder_depth": 1,
        "dropout": dropout,
        "learnt_content": False,
        "shared": True,
        "queries": 100,
        "max_detections": 100,
        "denoising": 0,
        "class_weight": 2.0,
        **head,
    }
    head = DINOHead(num_classes, STRIDES, **arguments)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)
