"""ExtremeNet: objects as four outermost points around a centre, on two hourglasses."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kzoo.backbones.hourglass import CHANNELS, RESIDUALS, hourglasses
from kzoo.heads.extreme import ExtremeHead
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture, assembled
from kzoo.policy import check_settings


@architecture(ExtremeHead, own=("stacks",))
def extremenet(
    num_classes: int = 80,
    image_size: Sequence[int] = (512, 512),
    width: float = 1.0,
    depth: float = 1.0,
    stacks: int = 2,
    orders: int = 5,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "extremenet",
    **head,
) -> ZooModel:
    """ExtremeNet: branches for five kinds of points on each hourglass.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (512, 512) by default, multiples of 128, or of 4 x 2^orders; other such
            sizes work as well at run time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the residual blocks of an order, above 0 and up to 16, 1 by default.
        stacks: number of hourglasses, 1 to 16, 2 by default.
        orders: number of times, 1 to 5, that an hourglass halves its maps, 5 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or a state dict with the authors' names (`.pth`,
            `.safetensors`): see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone. Untrained where None.
        name: name of the model, which messages and files go by, "extremenet" by default.
        **head: further arguments of `kzoo.heads.extreme.ExtremeHead`, such as `pairs`.

    Source: Zhou et al. 2019, Bottom-up Object Detection by Grouping Extreme and Center Points, arXiv:1901.08043.
    """
    multiple = 4 * 2**orders
    check_arguments(num_classes, image_size, names, multiple)
    check_settings()
    inputs = keras.Input((None, None, 3), name="images")
    sizes = (CHANNELS[: orders + 1], RESIDUALS[: orders + 1])
    found = hourglasses(normalized(inputs, "centernet"), stacks, width, depth, *sizes)
    features = [stack.features for stack in found]
    network = keras.Model(inputs, features, name="network")
    arguments = {"branch_width": features[0].shape[-1], "multiple": multiple, **head}
    head = ExtremeHead(num_classes, stacks=stacks, name="head", **arguments)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)
