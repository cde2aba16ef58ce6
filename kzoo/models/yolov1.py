"""YOLO, its tiny one, and the paper's network: images of one size, and dense layers that see all of it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence

import keras
from keras import layers

from kzoo.backbones.darknet import darknet_tiny, extraction
from kzoo.heads.grid import GridHead
from kzoo.layers.activations import activate
from kzoo.layers.conv import ConvNamer, scaled
from kzoo.layers.darknet_windows import LocallyConnected
from kzoo.model import ZooModel, check_arguments, images_input
from kzoo.models.architecture import architecture, assembled

log = logging.getLogger("kzoo")

STRIDE = 64  # pixels between the places of the last map


@architecture(GridHead, own=("image_size",))
def yolov1(
    num_classes: int = 20,
    image_size: Sequence[int] = (448, 448),
    width: float = 1.0,
    depth: float = 1.0,
    side: int | None = None,
    boxes_per_cell: int = 3,
    dropout: float = 0.5,
    paper: bool = False,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov1",
    **head,
) -> ZooModel:
    """YOLO: 24 convolutions, a layer that has other weights at every place, and a dense one that gives all boxes.

    Args:
        num_classes: number of classes, 1 or more, 20 by default.
        image_size: height and width in pixels, (448, 448) by default, multiples of 64. The network takes no others.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the pairs of convolutions of the third and fourth stage, above 0 and up to 16, 1 by default.
        side: cells in a row and in a column; where None (default) one for each 64 pixels of a square image, 7 of 448.
        boxes_per_cell: boxes that a cell predicts, 3 by default, as in Darknet's cfg file; 2 in the paper.
        dropout: share of the numbers before the last layer that is left out in training, 0 or more and below 1, 0.5 by
            default.
        paper: whether it is the paper's network: biases in the place of batch normalisation, and a dense layer of 4096
            in that of the locally connected one; False by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file of the same model, or the name of published
            weights: see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a file of Darknet's that begins with the first 20 convolutions, such as
            `extraction.conv.weights`, or a `.keras` file of this model. Untrained where None.
        name: name of the model, which messages and files go by, "yolov1" by default.
        **head: further arguments of `kzoo.heads.grid.GridHead`, such as `coord_scale`.

    Raises:
        ValueError: an argument is out of its range, or the image is not square and no `side` is given.

    Source: arXiv:1506.02640; Darknet's yolov1.cfg.
    """
    side = _checked_side(side, num_classes, image_size, names)
    inputs, x = images_input(image_size)
    x = extraction(x, width, depth, normalize=not paper)
    namer = ConvNamer("neck", normalize=not paper)
    for stride in (1, 2, 1, 1):
        x = namer.conv(x, scaled(1024, width), stride=stride)  # (B, H / 64, W / 64, 1024) in the end
    if paper:
        x = _dense(namer, x, scaled(4096, width))
    else:
        x = LocallyConnected(scaled(256, width), 3, padding=1, name=namer.name("local"))(x)
    x = activate(x, namer.activation, f"neck_act{namer.count}")
    x = layers.Dropout(dropout, name="neck_dropout")(x)
    return _on_a_grid(
        inputs,
        namer,
        x,
        num_classes,
        image_size,
        side,
        boxes_per_cell,
        names,
        name,
        weights,
        backbone_weights,
        head,
    )


@architecture(GridHead, own=("image_size",))
def yolov1_tiny(
    num_classes: int = 20,
    image_size: Sequence[int] = (448, 448),
    width: float = 1.0,
    depth: float = 1.0,
    side: int | None = None,
    boxes_per_cell: int = 2,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov1-tiny",
    **head,
) -> ZooModel:
    """YOLO's tiny network: eight convolutions, and a dense layer that gives all boxes.

    Args:
        num_classes: number of classes, 1 or more, 20 by default.
        image_size: height and width in pixels, (448, 448) by default, multiples of 64. The network takes no others.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: without effect, for no stage repeats a block; above 0 and up to 16, 1 by default.
        side: cells in a row and in a column; where None (default) one for each 64 pixels of a square image, 7 of 448.
        boxes_per_cell: boxes that a cell predicts, 2 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file of the same model, or the name of published
            weights: see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or a file of Darknet's. Untrained where
            None.
        name: name of the model, which messages and files go by, "yolov1-tiny" by default.
        **head: further arguments of `kzoo.heads.grid.GridHead`, such as `coord_scale`.

    Raises:
        ValueError: an argument is out of its range, or the image is not square and no `side` is given.

    Source: Darknet's yolov1-tiny.cfg.
    """
    if depth != 1.0:
        log.warning("%s: no stage repeats a block; depth=%g changes nothing", name, depth)
    side = _checked_side(side, num_classes, image_size, names)
    inputs, x = images_input(image_size)
    _, x = darknet_tiny(x, width, last_stride=2)
    namer = ConvNamer("neck")
    x = namer.conv(x, scaled(256, width))  # (B, H / 64, W / 64, 256)
    return _on_a_grid(
        inputs,
        namer,
        x,
        num_classes,
        image_size,
        side,
        boxes_per_cell,
        names,
        name,
        weights,
        backbone_weights,
        head,
    )


yolov1_paper = functools.partial(yolov1, boxes_per_cell=2, paper=True, name="yolov1-paper")


def _checked_side(side: int | None, num_classes: int, image_size: Sequence[int], names) -> int:
    """The number of cells in a row and in a column, after all that needs no network is checked."""
    check_arguments(num_classes, image_size, names, STRIDE)
    if side is not None:
        return side
    height, width = image_size
    if height != width:
        raise ValueError(
            f"image_size={tuple(image_size)}: YOLO's grid has as many rows as columns; give a square image, or `side`"
        )
    return height // STRIDE


def _dense(namer: ConvNamer, x, units: int):
    """A dense layer over the whole map: (B, H, W, C) to (B, units)."""
    name = namer.name("dense")
    return layers.Dense(units, name=name)(layers.Flatten(name=f"{name}_flat")(x))


def _on_a_grid(
    inputs,
    namer,
    x,
    num_classes,
    image_size,
    side,
    boxes_per_cell,
    names,
    name,
    weights,
    backbone_weights,
    head,
) -> ZooModel:
    """The last dense layer, which gives each cell's classes and boxes, and the model with its head."""
    x = _dense(namer, x, side * side * (num_classes + 5 * boxes_per_cell))
    network = keras.Model(inputs, [x], name="network")
    head = GridHead(num_classes, side, boxes_per_cell, list(image_size), name="head", **head)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)
