"""DeepLabv3 and DeepLabv3+: atrous spatial pyramid pooling on dilated residual networks."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
from keras import layers

from kzoo.backbones.named import backbone_features
from kzoo.heads.pixel import PixelHead
from kzoo.layers.aspp import aspp
from kzoo.layers.conv import scaled
from kzoo.layers.normalize import normalized
from kzoo.layers.residual import conv_bn
from kzoo.layers.resizing import Enlarge
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.models.fcn import auxiliary_weight, intermediate
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading

RATES = {8: (12, 24, 36), 16: (6, 12, 18)}
LOW_LEVEL = 48  # channels of the fine features that DeepLabv3+ joins


@architecture(PixelHead, own=("auxiliary", "multiple"), backbones=())
def deeplabv3(
    num_classes: int = 21,
    image_size: Sequence[int] = (520, 520),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet50",
    output_stride: int = 8,
    rates: Sequence[int] | None = None,
    decoder: bool = False,
    auxiliary: float = 0.0,
    hybrid: Sequence[int] | None = None,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "deeplabv3",
    **head,
) -> ZooModel:
    """DeepLabv3 on ResNet-50: a dilated backbone, whose last map the pyramid sees at several scales side by side.

    Args:
        num_classes: number of classes, 1 to 255, the background among them, 21 by default.
        image_size: height and width in pixels, (520, 520) by default, multiples of the output stride; other sizes
            work at run time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the backbone's blocks of a stage, above 0 and up to 16, 1 by default.
        backbone: one of `kzoo.backbones.named.BACKBONES`, "resnet50" by default; "resnet18" or
            "efficientnet-lite0" where it has to be small.
        output_stride: stride of the backbone's last map, 8 (default) or 16.
        rates: dilations of the pyramid, 1 to 1000; (12, 24, 36) at output stride 8, (6, 12, 18) at 16 where None.
        decoder: whether the result is refined by the first stage's features, at stride 4: DeepLabv3+. False by default.
        auxiliary: weight of the loss of a second classifier on the third stage, 0 or more; True is 0.5, 0 (default)
            leaves it out.
        hybrid: dilations that the blocks of a residual network's dilated stage take by turns, such as (1, 2, 5): see
            `kzoo.backbones.resnet.resnet`. The same for all where None.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or torchvision's `deeplabv3_resnet50` (`.pth`,
            `.safetensors`). Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, such as `resnet50`, torchvision's or
            timm's (`.pth`, `.safetensors`), or "imagenet": see `kzoo.weights.loading`. Untrained where None.
        name: name of the model, which messages and files go by, "deeplabv3" by default.
        **head: further arguments of `kzoo.heads.pixel.PixelHead`, such as `loss="ce+dice"`.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Chen et al. 2017, arXiv:1706.05587; in numbers as torchvision, `models/segmentation/deeplabv3.py`. With
        `decoder` Chen et al. 2018, arXiv:1802.02611, figure 2.
    """
    if output_stride not in RATES:
        raise ValueError(f"{name}: output_stride={output_stride}; give 8 or 16")
    check_arguments(num_classes, image_size, names, output_stride)
    read = reading(backbone_weights, weights, backbone=backbone)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    first, _, third, last = backbone_features(
        x, backbone, output_stride, width, depth, hybrid=hybrid, **read.strides
    )
    x = aspp(last, rates or RATES[output_stride], scaled(256, width))
    if decoder:
        x, stride = _decoded(x, first, output_stride // 4, width), 4
    else:
        x, stride = conv_bn(x, scaled(256, width), 3, "neck_head_{}"), output_stride
    outputs = [x, intermediate(third, "neck_auxiliary_{}")] if auxiliary else [x]
    network = keras.Model(inputs, outputs, name="network")
    head = PixelHead(
        num_classes,
        (stride,),
        auxiliary=auxiliary_weight(auxiliary),
        multiple=output_stride,
        name="head",
        **head,
    )
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)


def _decoded(x, fine, factor: int, width: float):
    """Joins coarse features and fine ones, and mixes them by two convolutions.

    Args:
        x: (B, H, W, C), the pyramid's result.
        fine: (B, H * factor, W * factor, D), the first stage's.
        factor: whole number that the coarse features are enlarged by.
        width: factor of the channels.
    """
    fine = conv_bn(fine, scaled(LOW_LEVEL, width), 1, "neck_low_{}")
    x = Enlarge(factor, name="neck_up")(x)
    x = layers.Concatenate(name="neck_join")([x, fine])
    for number in (1, 2):
        x = conv_bn(x, scaled(256, width), 3, f"neck_decoder_{{}}{number}")
    return x


deeplabv3_resnet101 = functools.partial(deeplabv3, backbone="resnet101", name="deeplabv3-resnet101")
deeplabv3plus = functools.partial(
    deeplabv3, image_size=(512, 512), output_stride=16, decoder=True, name="deeplabv3plus"
)
deeplabv3plus_resnet101 = functools.partial(
    deeplabv3plus, backbone="resnet101", name="deeplabv3plus-resnet101"
)
