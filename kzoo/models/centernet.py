"""CenterNet: objects as the peaks of heat maps at a quarter of the image's resolution."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import keras

from kzoo.backbones.dla import dla34
from kzoo.heads.center import CenterHead
from kzoo.layers.conv import scaled
from kzoo.layers.normalize import normalized
from kzoo.layers.upsampling import aggregation, upsampling_steps
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture, assembled
from kzoo.models.named import named_features
from kzoo.policy import check_settings
from kzoo.weights.state_dicts import SUFFIXES

MULTIPLE = 32  # of the image's sides
STEPS = (256, 128, 64)  # channels of the steps from stride 32 to stride 4
FINEST = 4  # stride that they end with


@architecture(CenterHead, backbones=())
def centernet(
    num_classes: int = 80,
    image_size: Sequence[int] = (512, 512),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet18",
    deformable: bool = True,
    output_stride: int = 32,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "centernet-resnet18",
    **head,
) -> ZooModel:
    """CenterNet on a residual network: steps back to stride 4, three from stride 32, and three small branches.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (512, 512) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the backbone's blocks of a stage, above 0 and up to 16, 1 by default.
        backbone: one of `kzoo.backbones.named.BACKBONES`, "resnet18" by default.
        deformable: whether each step begins with a deformable convolution (default); without, the steps are transposed
            convolutions alone, of 256 channels each.
        output_stride: stride of the backbone's last map, from which the steps go back: 32 (default), 16 or 8. Nothing
            goes past that map, so that from scratch objects as small as its cells are learnt very slowly.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; where None "centernet"
            with a state dict of the authors, and what the backbone's weights ask for with others.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or a state dict with the authors' names (`.pth`,
            `.safetensors`): see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or what `kzoo.weights.loading` takes for
            it. Untrained where None.
        name: name of the model, which messages and files go by, "centernet-resnet18" by default.
        **head: further arguments of `kzoo.heads.center.CenterHead`, such as `size_weight`.

    Source: Zhou et al. 2019, Objects as Points, arXiv:1904.07850.
    """
    check_arguments(num_classes, image_size, names, MULTIPLE)
    if normalize is None and Path(weights or "").suffix in SUFFIXES:
        normalize = "centernet"
    inputs, features = named_features(
        backbone, width, depth, backbone_weights, weights, normalize, output_stride
    )
    steps = (STEPS if deformable else (256, 256, 256))[-(output_stride.bit_length() - FINEST.bit_length()) :]
    filters = [scaled(count, width) for count in steps]
    x = upsampling_steps(features[-1], filters, "neck", deformable)
    network = keras.Model(inputs, [x], name="network")
    head = CenterHead(num_classes, name="head", **{"branch_width": scaled(64, width), **head})
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


@architecture(CenterHead)
def centernet_dla34(
    num_classes: int = 80,
    image_size: Sequence[int] = (512, 512),
    width: float = 1.0,
    depth: float = 1.0,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "centernet-dla34",
    **head,
) -> ZooModel:
    """CenterNet on deep layer aggregation: maps of all strides are joined pair by pair, down to stride 4.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (512, 512) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the trees' depths, above 0 and up to 16, 1 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or a state dict with the authors' names (`.pth`,
            `.safetensors`): see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone. Untrained where None.
        name: name of the model, which messages and files go by, "centernet-dla34" by default.
        **head: further arguments of `kzoo.heads.center.CenterHead`, such as `size_weight`.

    Source: Zhou et al. 2019, arXiv:1904.07850, section 5, "DLA".
    """
    check_arguments(num_classes, image_size, names, MULTIPLE)
    check_settings()
    inputs = keras.Input((None, None, 3), name="images")
    stages = dla34(normalized(inputs, "centernet"), width, depth)
    # From the coarse end: each round joins one level more, and ends a stride finer.
    maps, finest = list(stages), []
    for start in range(len(stages) - 2, -1, -1):
        filters = stages[start].shape[-1]
        out = aggregation(
            maps[start:], filters, [2] * (len(maps) - start - 1), f"neck_round{len(stages) - 2 - start}"
        )
        maps[start + 1 :] = out
        finest.insert(0, out[-1])
    # What each round ended with, finest first, and the coarsest stage as it was.
    levels = finest[:3]
    x = aggregation(levels, levels[0].shape[-1], [2 ** (i + 1) for i in range(len(levels) - 1)], "neck_last")[
        -1
    ]
    network = keras.Model(inputs, [x], name="network")
    head = CenterHead(num_classes, name="head", **{"branch_width": scaled(256, width), **head})
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


centernet_resnet50 = functools.partial(centernet, backbone="resnet50", name="centernet-resnet50")
