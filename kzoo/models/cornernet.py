"""CornerNet: objects as pairs of corners, on two hourglasses."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kzoo.backbones.hourglass import CHANNELS, RESIDUALS, hourglasses
from kzoo.heads.corner import CornerHead
from kzoo.layers.corner_modules import corner_modules
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture, assembled
from kzoo.policy import check_settings


@architecture(CornerHead, own=("stacks",))
def cornernet(
    num_classes: int = 80,
    image_size: Sequence[int] = (512, 512),
    width: float = 1.0,
    depth: float = 1.0,
    stacks: int = 2,
    orders: int = 5,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "cornernet",
    **head,
) -> ZooModel:
    """CornerNet: on each hourglass a module with corner pooling for either corner.

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
        name: name of the model, which messages and files go by, "cornernet" by default.
        **head: further arguments of `kzoo.heads.corner.CornerHead`, such as `tag_distance`.

    Source: Law & Deng 2018, CornerNet: Detecting Objects as Paired Keypoints, arXiv:1808.01244.
    """
    multiple = 4 * 2**orders
    check_arguments(num_classes, image_size, names, multiple)
    check_settings()
    inputs = keras.Input((None, None, 3), name="images")
    sizes = (CHANNELS[: orders + 1], RESIDUALS[: orders + 1])
    found = hourglasses(normalized(inputs, "centernet"), stacks, width, depth, *sizes)
    corners = corner_modules([stack.features for stack in found], width)
    features = [maps for pair in corners for maps in pair]
    network = keras.Model(inputs, features, name="network")
    arguments = {"branch_width": features[0].shape[-1], "multiple": multiple, **head}
    head = CornerHead(num_classes, stacks=stacks, name="head", **arguments)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)
