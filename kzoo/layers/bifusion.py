"""YOLOv6's ways to join maps of neighbouring levels, and to see a map at several sizes."""

from __future__ import annotations

from keras import layers

from kzoo.layers.yolo_conv import conv


def bifusion(coarse, same, fine, filters: int, name: str, **style):
    """A level's map joined with the enlarged coarser one and the shrunk finer one.

    Args:
        coarse: (B, H / 2, W / 2, C) maps.
        same: (B, H, W, D) maps.
        fine: (B, 2 H, 2 W, E) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, filters).

    Source: Li et al. 2023, YOLOv6 v3.0, arXiv:2301.05586, figure 2, "Bi-directional Concatenation".
    """
    enlarged = layers.Conv2DTranspose(filters, 2, 2, name=f"{name}_enlarge")(coarse)
    same = conv(same, filters, f"{name}_same", **style)
    shrunk = conv(conv(fine, filters, f"{name}_fine", **style), filters, f"{name}_shrink", 3, 2, **style)
    x = layers.Concatenate(name=f"{name}_concat")([enlarged, same, shrunk])
    return conv(x, filters, f"{name}_out", **style)


def csp_sppf(x, filters: int, name: str, **style):
    """Poolings of growing reach on half of the channels, with convolutions before and behind; half goes past them.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, filters).

    Source: YOLOv6 v3.0, "SimCSPSPPF".
    """
    hidden = filters // 2
    through = conv(x, hidden, f"{name}_cv1", **style)
    past = conv(x, hidden, f"{name}_cv2", **style)
    parts = [conv(conv(through, hidden, f"{name}_cv3", 3, **style), hidden, f"{name}_cv4", **style)]
    for i in range(3):
        parts.append(layers.MaxPooling2D(5, 1, padding="same", name=f"{name}_pool{i + 1}")(parts[-1]))
    through = conv(layers.Concatenate(name=f"{name}_pools")(parts), hidden, f"{name}_cv5", **style)
    through = conv(through, hidden, f"{name}_cv6", 3, **style)
    return conv(layers.Concatenate(name=f"{name}_concat")([past, through]), filters, f"{name}_cv7", **style)
