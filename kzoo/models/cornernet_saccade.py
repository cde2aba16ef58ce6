"""CornerNet-Saccade: objects as pairs of corners, and maps that say where to look closer."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kzoo.backbones.hourglass import hourglasses
from kzoo.heads.saccade import SaccadeHead
from kzoo.layers.corner_modules import corner_modules
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture, assembled
from kzoo.policy import check_settings

# Of each order, from the whole map to the smallest.
CHANNELS, RESIDUALS = (256, 384, 384, 512), (1, 1, 1, 1)


@architecture(SaccadeHead, own=("stacks",))
def cornernet_saccade(
    num_classes: int = 80,
    image_size: Sequence[int] = (256, 256),
    width: float = 1.0,
    depth: float = 1.0,
    stacks: int = 3,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "cornernet-saccade",
    **head,
) -> ZooModel:
    """CornerNet-Saccade: small hourglasses, each of whose sizes of maps says where there are objects of a size.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (256, 256) by default, multiples of 32; other such
            sizes work as well at run time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the residual blocks of an order, above 0 and up to 16, 1 by default.
        stacks: number of hourglasses, 1 to 16, 3 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or a state dict with the authors' names (`.pth`,
            `.safetensors`): see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone. Untrained where None.
        name: name of the model, which messages and files go by, "cornernet-saccade" by default.
        **head: further arguments of `kzoo.heads.saccade.SaccadeHead`, such as `attention_weight`.

    Source: Law et al. 2019, CornerNet-Lite: Efficient Keypoint Based Object Detection,
        arXiv:1904.08900, section 4.
    """
    check_arguments(num_classes, image_size, names, 32)
    check_settings()
    inputs = keras.Input((None, None, 3), name="images")
    sizes = (CHANNELS, RESIDUALS)
    found = hourglasses(normalized(inputs, "centernet"), stacks, width, depth, *sizes)
    corners = corner_modules([stack.features for stack in found], width)
    features = [maps for pair, stack in zip(corners, found, strict=True) for maps in (*pair, *stack.joined)]
    network = keras.Model(inputs, features, name="network")
    arguments = {"branch_width": features[0].shape[-1], **head}
    head = SaccadeHead(num_classes, stacks=stacks, name="head", **arguments)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)
