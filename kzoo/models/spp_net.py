"""SPP-net: a pyramid of maxima under each proposal of VGG16's last map, dense layers, a vector machine a class."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kzoo.backbones.vgg import vgg16
from kzoo.heads.svm import SVMHead
from kzoo.layers.conv import scaled
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, backbone_layers, check_arguments
from kzoo.models.architecture import architecture
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading

STRIDE = 16


@architecture(SVMHead)
def spp_net(
    num_classes: int = 20,
    image_size: Sequence[int] = (608, 800),
    width: float = 1.0,
    depth: float = 1.0,
    batch_norm: bool = False,
    freeze: bool = True,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "spp-net",
    **head,
) -> ZooModel:
    """SPP-net on VGG16: its convolutions stay as they are, the dense layers behind the pyramid are fine-tuned.

    At one scale of the image; the paper looks at five, on a network of its own.

    Args:
        num_classes: number of classes, 1 or more, without a background, 20 by default.
        image_size: height and width in pixels, (608, 800) by default, multiples of 16. Other sizes work at run time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the convolutions of a stage, above 0 and up to 16, 1 by default.
        batch_norm: whether VGG16's convolutions are batch-normalised; False by default.
        freeze: whether the convolutions keep their weights, True by default; without pretrained ones they learn
            nothing then.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone; torchvision's or timm's VGG16
            (`.safetensors`, `.pth`), of which its convolutions are taken; or "imagenet": see `kzoo.weights.loading`.
            Untrained where None.
        name: name of the model, which messages and files go by, "spp-net" by default.
        **head: further arguments of `kzoo.heads.svm.SVMHead`. Defaults here are `region_samples` 64,
            `background_from` 0.1, `nms_threshold` 0.3, `score_threshold` 0.05, `candidates` 1000, and `dense`
            (4096, 4096) times width.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: He et al. 2014, arXiv:1406.4729.
    """
    check_arguments(num_classes, image_size, names, STRIDE)
    read = reading(backbone_weights, weights, "caffe", "vgg16")
    inputs = keras.Input((None, None, 3), name="images")
    proposals = keras.Input((None, 4), name="proposals")
    x = normalized(inputs, normalize or read.normalize)
    features = vgg16(x, width, depth, pooled=False, batch_norm=batch_norm)[-1]
    network = keras.Model([inputs, proposals], [features, proposals], name="network")
    arguments = {
        "region_samples": 64,
        "background_from": 0.1,
        "nms_threshold": 0.3,
        "score_threshold": 0.05,
        "candidates": 1000,
        "multiple": STRIDE,
        **head,
        "dense": [scaled(units, width) for units in head.get("dense", (4096, 4096))],
    }
    head = SVMHead(num_classes, (STRIDE,), name="head", **arguments)
    model = ZooModel(network, head, image_size, names, name=name)
    if freeze:
        for layer in backbone_layers(model):
            layer.trainable = False
    return load_weights(load_backbone(model, backbone_weights), weights)
