"""Positions as features that attention can compare: sines of several wavelengths, and learnt ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from keras import layers, ops
from keras.initializers import RandomUniform

TURN = 2 * math.pi


def sines(values, width: int, temperature: float = 10000.0):
    """Sines and cosines of numbers, by turns, from short wavelengths to long ones.

    Args:
        values: (...) float32.
        width: number of features of each, even.
        temperature: ratio of the longest wavelength to the shortest, nearly; 10000 by default.

    Returns:
        (..., width) float32.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    pairs = np.arange(width // 2, dtype=np.float64)
    divisors = (temperature ** (2 * pairs / width)).astype("float32")  # (width / 2,)
    angles = ops.expand_dims(values, -1) / divisors
    both = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)  # (..., width / 2, 2)
    return ops.reshape(both, (*ops.shape(values), width))


def places(count, shift: float = 0.0, margin: float = 1e-6):
    """Where the cells of a row, or the rows of a map, lie: (count,) float32, above 0 to 1.

    Args:
        count: number of cells, which may be known only when the network runs.
        shift: how far before its end each cell lies, in cells: 0 (default), or 0.5 in the middle.
        margin: what is added to the number of cells, 1e-6 by default.
    """
    numbers = ops.cast(ops.arange(count), "float32") + (1.0 - shift)
    return numbers / (ops.cast(count, "float32") + margin)


def sine_map(height, width, channels: int, temperature: float = 10000.0, shift: float = 0.0):
    """The positions of a map's cells: half of the features tell the row, the other half the column.

    Args:
        height: number of rows.
        width: number of columns.
        channels: number of features, a multiple of 4.
        temperature: see `sines`: 10000 (default) in DETR, 20 in DAB-DETR and its successors.
        shift: see `places`: 0 (default) in DETR and DAB-DETR, 0.5 in Deformable DETR.

    Returns:
        (1, height * width, channels) float32, row by row.

    Source: Carion et al. 2020, arXiv:2005.12872, appendix A.4.
    """
    rows, columns = (
        sines(places(count, shift) * TURN, channels // 2, temperature) for count in (height, width)
    )  # (H, C / 2), (W, C / 2)
    shape = (height, width, channels // 2)
    both = [
        ops.broadcast_to(ops.expand_dims(rows, 1), shape),
        ops.broadcast_to(ops.expand_dims(columns, 0), shape),
    ]
    return ops.reshape(ops.concatenate(both, axis=-1), (1, height * width, channels))


def block_sine_map(height, width, channels: int, temperature: float = 10000.0):
    """The positions of a map's cells as RT-DETR has them: cells counted from 0, sines apart from cosines.

    The four blocks of features are sines and cosines of the row, then those of the column. The authors' own code lays
    the cells out column by column beside features row by row, which is the same on square maps alone.

    Args:
        height: number of rows.
        width: number of columns.
        channels: number of features, a multiple of 4.
        temperature: ratio of the longest wavelength to the shortest, nearly; 10000 by default.

    Returns:
        (1, height * width, channels) float32, row by row.

    Source: Zhao et al. 2023, RT-DETR, arXiv:2304.08069; in the authors' code.
    """
    count = channels // 4
    divisors = (temperature ** (np.arange(count, dtype=np.float64) / count)).astype("float32")  # (C / 4,)
    shape, blocks = (height, width, count), []
    for axis, cells in enumerate((height, width)):
        numbers = ops.cast(ops.arange(cells), "float32")
        angles = ops.expand_dims(ops.expand_dims(numbers, -1) / divisors, 1 - axis)  # one axis of 1
        blocks += [ops.broadcast_to(wave(angles), shape) for wave in (ops.sin, ops.cos)]
    return ops.reshape(ops.concatenate(blocks, axis=-1), (1, height * width, channels))


def sine_boxes(boxes, width: int, temperature: float = 10000.0):
    """The positions of points or boxes: y before x, and where there are sides the width, then the height.

    Args:
        boxes: (..., 2) x and y, or (..., 4) x, y, width and height, 0 to 1.
        width: number of features of each coordinate, even.
        temperature: see `sines`; 10000 by default.

    Returns:
        (..., 2 * width) or (..., 4 * width) float32.

    Source: Liu et al. 2022, DAB-DETR, arXiv:2201.12329, section 4.2.
    """
    order = (1, 0, 2, 3)[: boxes.shape[-1]]
    waves = [sines(boxes[..., axis] * TURN, width, temperature) for axis in order]
    return ops.concatenate(waves, axis=-1)


class LearntMap(layers.Layer):
    """The positions of a map's cells, learnt: a vector for each column, and one for each row behind it.

    DETR's alternative to sines. Maps may be smaller than what there are vectors for.

    Args:
        channels: number of features, even: half of them tell the column, half the row.
        most: number of rows, and of columns, that there are vectors for, 1 or more, 50 by default.
        **kwargs: arguments of every Keras layer.

    Shapes: a map (B, H, W, C) in; (1, H * W, channels) out, row by row.

    Raises:
        ValueError: `channels` is odd, or the map has more than `most` rows or columns.

    Source: Carion et al. 2020, arXiv:2005.12872, table 3 and appendix; in numbers as the authors' code.
    """

    def __init__(self, channels: int, most: int = 50, **kwargs):
        super().__init__(**kwargs)
        if channels % 2:
            raise ValueError(f"channels={channels}: give an even number, half for columns and half for rows")
        self.channels, self.most = channels, most

    def build(self, input_shape=None):
        shape = (self.most, self.channels // 2)
        start = RandomUniform(0.0, 1.0)
        self.columns, self.rows = (
            self.add_weight(shape=shape, initializer=start, name=name) for name in ("columns", "rows")
        )
        self.built = True

    def call(self, x):
        height, width = ops.shape(x)[1:3]
        known = [side for side in x.shape[1:3] if side is not None]
        if known and max(known) > self.most:
            raise ValueError(f"{self.name}: a map of {known} cells; make it with most={max(known)} or more")
        half = (height, width, self.channels // 2)
        columns, rows = (ops.cast(each, self.compute_dtype) for each in (self.columns, self.rows))
        both = [
            ops.broadcast_to(ops.expand_dims(columns[:width], 0), half),
            ops.broadcast_to(ops.expand_dims(rows[:height], 1), half),
        ]
        return ops.reshape(ops.concatenate(both, axis=-1), (1, height * width, self.channels))


class Learnt(layers.Layer):
    """Numbers that are learnt, the same for every image: what queries are, or where they look.

    Args:
        shape: shape of the numbers, without an axis for images.
        initializer: how they begin, by Keras's name; "normal" (default), of deviation 1, or others.
        **kwargs: arguments of every Keras layer.

    Shapes: whatever has images along its first axis, B, in; (B, *shape) out.
    """

    def __init__(self, shape: Sequence[int], initializer="normal", **kwargs):
        super().__init__(**kwargs)
        self.shape, self.initializer = tuple(shape), initializer

    def build(self, input_shape=None):
        self.numbers = self.add_weight(shape=self.shape, initializer=self.initializer, name="numbers")
        self.built = True

    def call(self, x):
        numbers = ops.expand_dims(ops.cast(self.numbers, self.compute_dtype), 0)
        return ops.broadcast_to(numbers, (ops.shape(x)[0], *self.shape))
