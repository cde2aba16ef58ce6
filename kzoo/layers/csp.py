"""Cross-stage partial blocks: part of the channels goes through bottlenecks, the rest past them."""

from __future__ import annotations

from keras import layers

from kzoo.layers.activations import activate
from kzoo.layers.darknet_maps import ChannelGroup
from kzoo.layers.yolo_conv import conv, normalize, plain_conv


def bottleneck(
    x,
    filters: int,
    name: str,
    shortcut: bool,
    sizes=(1, 3),
    expansion: float = 1.0,
    depthwise: bool = False,
    **style,
):
    """Two convolutions, and what went in added where it is as wide.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        shortcut: whether x is added to what comes out, where C is `filters`.
        sizes: sides of the two kernels in pixels, 1 and 3 by default.
        expansion: channels between the two as a share of `filters`, 1 by default.
        depthwise: whether the second convolution is a depthwise one and a 1x1 behind it (YOLOX-nano); False by default.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, filters).

    Source: YOLOv5 and YOLOv8; after He et al. 2015, arXiv:1512.03385, figure 5 right.
    """
    inner = conv(x, int(filters * expansion), f"{name}_cv1", sizes[0], **style)
    if depthwise:
        inner = separable(inner, filters, f"{name}_cv2", sizes[1], **style)
    else:
        inner = conv(inner, filters, f"{name}_cv2", sizes[1], **style)
    if shortcut and x.shape[-1] == filters:
        inner = layers.Add(name=f"{name}_add")([x, inner])
    return inner


def separable(x, filters: int, name: str, size: int = 3, stride: int = 1, **style):
    """A depthwise convolution and a 1x1 behind it, each with batch normalisation and activation.

    (B, H, W, C) to (B, H / stride, W / stride, filters).
    """
    x = conv(x, x.shape[-1], f"{name}_dconv", size, stride, depthwise=True, **style)
    return conv(x, filters, f"{name}_pconv", **style)


def c3(
    x,
    filters: int,
    name: str,
    blocks: int,
    shortcut: bool = True,
    sizes=(1, 3),
    depthwise: bool = False,
    expansion: float = 0.5,
    **style,
):
    """Half the channels through bottlenecks, half past them; a 1x1 convolution joins both.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        blocks: number of bottlenecks in a row, 1 or more.
        shortcut: whether bottlenecks add what goes into them, True by default.
        sizes: sides of the bottlenecks' kernels in pixels, 1 and 3 by default.
        depthwise: whether the bottlenecks' second convolutions are depthwise ones; False by default.
        expansion: channels of each way as a share of `filters`, 0.5 by default.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, filters).

    Source: YOLOv5; after Wang et al. 2019, CSPNet, arXiv:1911.11929, figure 3.
    """
    hidden = int(filters * expansion)
    through = conv(x, hidden, f"{name}_cv1", **style)
    past = conv(x, hidden, f"{name}_cv2", **style)
    for i in range(blocks):
        through = bottleneck(through, hidden, f"{name}_m{i}", shortcut, sizes, depthwise=depthwise, **style)
    return conv(layers.Concatenate(name=f"{name}_concat")([through, past]), filters, f"{name}_cv3", **style)


def bottleneck_csp(x, filters: int, name: str, blocks: int, shortcut: bool = True, **style):
    """Half the channels through bottlenecks and a convolution, half through another; normalised and joined together.

    Both last convolutions are bare: batch normalisation and a leaky ReLU come behind their concatenation, whatever the
    activation of the others is.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        blocks: number of bottlenecks in a row, 1 or more.
        shortcut: whether bottlenecks add what goes into them, True by default.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, filters).

    Source: Wang et al. 2019, CSPNet, arXiv:1911.11929, figure 2; in numbers as YOLOv5 before 4.0, and YOLOP,
    arXiv:2108.11250.
    """
    hidden = filters // 2
    through = conv(x, hidden, f"{name}_cv1", **style)
    for i in range(blocks):
        through = bottleneck(through, hidden, f"{name}_m{i}", shortcut, **style)
    through = plain_conv(through, hidden, f"{name}_cv3")
    past = plain_conv(x, hidden, f"{name}_cv2")
    both = layers.Concatenate(name=f"{name}_concat")([through, past])
    both = normalize(both, f"{name}_bn", **{key: style[key] for key in style if key != "activation"})
    return conv(activate(both, "leaky", f"{name}_act"), filters, f"{name}_cv4", **style)


def c2f(
    x,
    filters: int,
    name: str,
    blocks: int,
    shortcut: bool = True,
    block=None,
    expansion: float = 0.5,
    **style,
):
    """Half the channels through a chain of blocks, of which each one's output is kept for the 1x1 at the end.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        blocks: number of blocks in the chain, 1 or more.
        shortcut: whether bottlenecks add what goes into them, True by default.
        block: what makes one block of maps, a number of channels and a name; two 3x3 convolutions where None.
        expansion: channels of each half as a share of `filters`, 0.5 by default.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, filters).

    Source: YOLOv8; after ELAN, Wang et al. 2022, arXiv:2211.04800.
    """
    hidden = int(filters * expansion)
    if block is None:

        def block(maps, channels, prefix):
            return bottleneck(maps, channels, prefix, shortcut, (3, 3), **style)

    x = conv(x, 2 * hidden, f"{name}_cv1", **style)
    parts = [ChannelGroup(2, half, name=f"{name}_half{half}")(x) for half in (0, 1)]
    for i in range(blocks):
        parts.append(block(parts[-1], hidden, f"{name}_m{i}"))
    return conv(layers.Concatenate(name=f"{name}_concat")(parts), filters, f"{name}_cv2", **style)


def c3k2(
    x,
    filters: int,
    name: str,
    blocks: int,
    nested: bool,
    shortcut: bool = True,
    expansion: float = 0.5,
    **style,
):
    """As `c2f`; its blocks are bottlenecks of half the width inside, or, `nested`, small `c3`s of two bottlenecks.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        blocks: number of blocks in the chain, 1 or more.
        nested: whether a block is a `c3` of two bottlenecks with 3x3 convolutions.
        shortcut: whether bottlenecks add what goes into them, True by default.
        expansion: channels of each half as a share of `filters`, 0.5 by default.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, filters).

    Source: YOLO11.
    """

    def block(maps, channels, prefix):
        if nested:
            return c3(maps, channels, prefix, 2, shortcut, (3, 3), **style)
        return bottleneck(maps, channels, prefix, shortcut, (3, 3), 0.5, **style)

    return c2f(x, filters, name, blocks, shortcut, block, expansion, **style)


def sppf(x, filters: int, name: str, size: int = 5, **style):
    """Poolings of growing reach, each of the one before: the same as 5, 9 and 13 side by side, and sooner.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        size: side of the pooling windows in cells, odd, 5 by default.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, filters).

    Source: YOLOv5 6.0; after spatial pyramid pooling, He et al. 2014, arXiv:1406.4729.
    """
    parts = [conv(x, x.shape[-1] // 2, f"{name}_cv1", **style)]
    for i in range(3):
        parts.append(layers.MaxPooling2D(size, 1, padding="same", name=f"{name}_pool{i + 1}")(parts[-1]))
    return conv(layers.Concatenate(name=f"{name}_concat")(parts), filters, f"{name}_cv2", **style)
