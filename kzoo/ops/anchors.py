"""Anchor boxes: their shapes as plain lists, their places on feature maps as tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from keras import ops


def retina_anchors(
    sizes: Sequence[float] = (32, 64, 128, 256, 512),
    ratios: Sequence[float] = (0.5, 1.0, 2.0),
    octaves: int = 3,
) -> list[list[list[float]]]:
    """RetinaNet's anchors: for every level some scales within an octave, in every ratio, in whole pixels.

    Args:
        sizes: side in pixels of each level's smallest square, finest level first; 32 to 512 by default.
        ratios: heights over widths, above 0; 0.5, 1 and 2 by default.
        octaves: number of scales a level, size * 2 ** (i / octaves) for i from 0; 3 by default.

    Returns:
        For each level (ratios x octaves) pairs of width and height in pixels, ratio by ratio. As in torchvision
        scales are rounded down to whole pixels and corners are rounded about the centre.

    Source: Lin et al. 2017, arXiv:1708.02002, section 4, "Anchors".
    """
    # In float32, as torchvision has it: a corner that ends on a half is rounded the same way then.
    heights = np.sqrt(np.float32(ratios))
    shapes = np.stack([1 / heights, heights], axis=-1)[:, None]  # (ratios, 1, 2)
    levels = []
    for size in sizes:
        scales = np.float32([int(size * 2 ** (i / octaves)) for i in range(octaves)])[None, :, None]
        levels.append((2 * np.round(shapes * scales / 2)).reshape(-1, 2).tolist())
    return levels


def default_boxes(
    image_size: Sequence[int], scales: Sequence[float], ratios: Sequence[Sequence[float]]
) -> list[list[list[float]]]:
    """SSD's default boxes: for every level two squares, and a box lying and one standing for every ratio.

    Args:
        image_size: height and width in pixels, which no box exceeds.
        scales: side of each level's smaller square as a share of the image, 0 to 1, and one number more: the larger
            square's side is the geometric mean of two neighbours.
        ratios: for each level the ratios of its long sides to its short ones, above 1.

    Returns:
        For each level (2 + 2 x ratios) pairs of width and height in pixels.

    Source: Liu et al. 2016, arXiv:1512.02325, section 2.2, "Choosing scales and aspect ratios for default boxes".
    """
    height, width = image_size
    levels = []
    for scale, following, level in zip(scales, scales[1:], ratios, strict=False):
        shapes = [[scale, scale], [math.sqrt(scale * following)] * 2]
        for ratio in level:
            long, short = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
            shapes += [[long, short], [short, long]]
        levels.append([[min(w, 1.0) * width, min(h, 1.0) * height] for w, h in shapes])
    return levels


def lay_anchors(
    sizes: Sequence, anchors: Sequence, strides: Sequence[int], offset: float = 0.5, fit_strides: bool = False
):
    """The anchors of all levels as boxes: level by level, cell by cell, anchor by anchor.

    Args:
        sizes: height and width of each feature map in cells: ints, or scalars where not known before running.
        anchors: for each level its widths and heights in pixels.
        strides: pixels a cell, one number a level.
        offset: place of an anchor's centre in its cell: 0 at the upper left, 0.5 (default) in the middle.
        fit_strides: whether strides of the coarser levels are what the image measured by the first level comes to,
            divided by their cells and rounded down: less than twice the finer one's where maps were rounded up. False
            by default.

    Returns:
        (N, 4) float32 xyxy pixels.
    """
    extent = [cells * strides[0] for cells in sizes[0]]
    boxes = []
    for (height, width), shapes, stride in zip(sizes, anchors, strides, strict=True):
        steps = (extent[0] // height, extent[1] // width) if fit_strides else (stride, stride)
        y, x = (
            (ops.arange(cells, dtype="float32") + offset) * ops.cast(step, "float32")
            for cells, step in zip((height, width), steps, strict=True)
        )
        # Zeros: what has fewer axes is spread over all of them by addition.
        blank = ops.zeros((height, width, len(shapes), 1), "float32")  # (H, W, A, 1)
        center = ops.concatenate(
            [ops.reshape(x, (1, -1, 1, 1)) + blank, ops.reshape(y, (-1, 1, 1, 1)) + blank], axis=-1
        )
        half = ops.convert_to_tensor(shapes, "float32") / 2  # (A, 2)
        boxes.append(ops.reshape(ops.concatenate([center - half, center + half], axis=-1), (-1, 4)))
    return ops.concatenate(boxes, axis=0)
