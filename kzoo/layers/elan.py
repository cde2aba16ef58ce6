"""Blocks of YOLOv7: chains of convolutions of which several lengths are joined, and what stands between them."""

from __future__ import annotations

from collections.abc import Sequence

from keras import layers

from kzoo.layers.yolo_conv import conv


class Numbered:
    """Makes a network's layers one after another and names them by their place in the list.

    Args:
        part: what names begin with: "backbone" or "neck".
        first: number of the first layer, 0 by default.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Attributes:
        number: number of the next layer.

    Example:
        >>> net = Numbered("backbone")
        >>> net.conv(net.conv(images, 32, 3), 64, 3, 2)
    """

    def __init__(self, part: str, first: int = 0, **style):
        self.part = part
        self.number = first
        self.style = style

    def name(self) -> str:
        """The next layer's name."""
        self.number += 1
        return f"{self.part}_layer{self.number - 1}"

    def conv(self, x, filters: int, size: int = 1, stride: int = 1):
        """A convolution with normalisation and activation: (B, H, W, C) to (B, H / stride, W / stride, filters)."""
        return conv(x, filters, self.name(), size, stride, **self.style)

    def concat(self, parts: Sequence):
        """Maps of the same sides joined along the channels."""
        return layers.Concatenate(name=self.name())(parts)

    def pool(self, x, size: int = 2, stride: int = 2):
        """Maxima of windows: (B, H, W, C) to (B, H / stride, W / stride, C)."""
        return layers.MaxPooling2D(size, stride, padding="same", name=self.name())(x)

    def up(self, x):
        """Twice the sides, by repetition."""
        return layers.UpSampling2D(2, name=self.name())(x)


def elan(net: Numbered, x, entry: int, inner: int, filters: int, groups: int, length: int):
    """Two ways in, a chain of convolutions behind one of them, and a 1x1 over both and the chain's groups.

    Args:
        net: names the layers.
        x: (B, H, W, C) maps.
        entry: channels of each way in.
        inner: channels of the chain's 3x3 convolutions.
        filters: number of output channels.
        groups: how many groups the chain has, of which each one's last map is joined.
        length: convolutions of a group.

    Returns:
        (B, H, W, filters).

    Source: Wang et al. 2022, YOLOv7, arXiv:2207.02696, figure 2c.
    """
    past, through = net.conv(x, entry), net.conv(x, entry)
    kept = [past, through]
    for _ in range(groups):
        for _ in range(length):
            through = net.conv(through, inner, 3)
        kept.append(through)
    return net.conv(net.concat(kept[::-1]), filters)


def transition(net: Numbered, x, filters: int, beside: Sequence = ()):
    """Half the sides by a pooling and by a strided convolution, each of so many channels, joined.

    Args:
        net: names the layers.
        x: (B, H, W, C) maps.
        filters: channels of each of the two.
        beside: further maps of half the sides, joined behind them.

    Returns:
        (B, H / 2, W / 2, 2 * filters and those of the further maps).
    """
    pooled = net.conv(net.pool(x), filters)
    strided = net.conv(net.conv(x, filters), filters, 3, 2)
    return net.concat([strided, pooled, *beside])


def transition_at_once(net: Numbered, x, filters: int):
    """Half the sides as `transition` has it, as one layer of the list: (B, H, W, C) to (B, H / 2, W / 2, filters).

    Args:
        net: names the layer.
        x: (B, H, W, C) maps.
        filters: number of output channels, of which each way gives half.
    """
    name = net.name()
    strided = conv(x, x.shape[-1], f"{name}_cv1", **net.style)
    strided = conv(strided, filters // 2, f"{name}_cv2", 3, 2, **net.style)
    pooled = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    pooled = conv(pooled, filters // 2, f"{name}_cv3", **net.style)
    return layers.Concatenate(name=f"{name}_concat")([strided, pooled])


def elan_sum(net: Numbered, x, times: int, *sizes: int):
    """A block of `elan`, or the sum of several that stand side by side: (B, H, W, C) to (B, H, W, filters).

    Args:
        net: names the layers.
        x: (B, H, W, C) maps.
        times: number of blocks, 1 or more.
        *sizes: entry, inner, filters, groups and length of `elan`.

    Source: YOLOv7, arXiv:2207.02696, figure 2d (E-ELAN).
    """
    summed = elan(net, x, *sizes)
    for _ in range(times - 1):
        other = elan(net, x, *sizes)
        summed = layers.Add(name=net.name())([summed, other])
    return summed


def pooled_partly(x, filters: int, name: str, sizes: Sequence[int] = (5, 9, 13), **style):
    """Pooling of several sizes between convolutions, past which half of the channels go (SPPCSPC).

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels, and of those inside.
        name: prefix of the layers' names.
        sizes: sides of the pooling windows in cells, odd, 5, 9 and 13 by default.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, filters).

    Source: Wang et al. 2020, Scaled-YOLOv4, arXiv:2011.08036, section 4.2; YOLOv7.
    """
    through = conv(x, filters, f"{name}_cv1", **style)
    past = conv(x, filters, f"{name}_cv2", **style)
    through = conv(conv(through, filters, f"{name}_cv3", 3, **style), filters, f"{name}_cv4", **style)
    pools = [
        layers.MaxPooling2D(size, 1, padding="same", name=f"{name}_pool{size}")(through) for size in sizes
    ]
    through = layers.Concatenate(name=f"{name}_pools")([through, *pools])
    through = conv(conv(through, filters, f"{name}_cv5", **style), filters, f"{name}_cv6", 3, **style)
    return conv(layers.Concatenate(name=f"{name}_concat")([through, past]), filters, f"{name}_cv7", **style)
