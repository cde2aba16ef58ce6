"""Attention that looks at a few places of several maps, and learns where, rather than at every cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from keras import layers, ops

METHODS = ("bilinear", "discrete")


class Places:
    """The places that a query looks at with each of its heads: on which map each lies, and how large that is.

    A query has as many places as heads times points, head by head, map by map: N = heads * P of them.

    Args:
        sizes: height and width of each map in cells, which may be known only when the network runs.
        points: number of places of a head on each map.
        heads: number of heads.

    Attributes:
        total: number of cells of all maps.
        levels: (N,) int32 array, the map of each place.
        height, width: (N,) float32, the sides of that map in cells.
        first: (N,) int32, where its cells begin among those of all maps.
        head: (N,) int32, the head of each place.
    """

    def __init__(self, sizes: Sequence, points: Sequence[int], heads: int):
        self.levels = np.tile(np.repeat(np.arange(len(points)), points), heads).astype("int32")
        counts = [height * width for height, width in sizes]
        starts = [sum(counts[:level]) for level in range(len(counts))]
        self.total = sum(counts)
        self.height, self.width = (self._each([size[axis] for size in sizes], "float32") for axis in (0, 1))
        self.first = self._each(starts, "int32")
        self.head = ops.convert_to_tensor(np.repeat(np.arange(heads), sum(points)).astype("int32"))

    def _each(self, values: Sequence, dtype: str):
        """One number a map, as (N,) of the places."""
        if all(isinstance(value, int) for value in values):
            return ops.convert_to_tensor(np.asarray(values, dtype)[self.levels])
        values = ops.stack([ops.cast(value, dtype) for value in values])
        return ops.take(values, ops.convert_to_tensor(self.levels), axis=0)


def sampled(values, places: Places, locations, weights, method: str = "bilinear"):
    """The weighted sum of what lies at each query's places, head by head; outside of the maps everything is 0.

    All corners of all places are taken by one gather of cells; a head's sum is one product of matrices. With the
    gradient that takes less than half of the time of a gather for each corner and map on a CPU.

    Args:
        values: (B, S, heads, D), the cells of all maps, map by map and row by row.
        places: the layout of the N = heads * P places.
        locations: (B, Q, N, 2) x and y, 0 to 1 within the map, float32.
        weights: (B, Q, N) float32, what each place counts.
        method: "bilinear" (default), between a place's four neighbours; or "discrete", the nearest cell's, with
            the rounding of RT-DETRv2, whose columns end, as its rows, at the map's height: for square images.

    Returns:
        (B, Q, heads * D), head by head, of the type of the values.

    Source: Zhu et al. 2020, Deformable DETR, arXiv:2010.04159, equation 3; discrete: Lv et al. 2024, RT-DETRv2,
        arXiv:2407.17140.
    """
    batch, queries, count = ops.shape(weights)
    heads, depth = values.shape[2], values.shape[3]
    if method == "discrete":
        cells, shares = _nearest(places, locations, weights)  # (B, Q, N, 1) each
    else:
        cells, shares = _corners(places, locations, weights)  # (B, Q, N, 4)
    taken = cells.shape[-1] * count // heads  # of one query and head
    image = ops.reshape(ops.arange(batch, dtype="int32") * places.total, (batch, 1, 1, 1))
    rows = (cells + image) * heads + ops.reshape(places.head, (1, 1, count, 1))
    rows = ops.take(
        ops.reshape(values, (-1, depth)), ops.reshape(rows, (-1, taken)), axis=0
    )  # (B*Q*heads, ., D)
    shares = ops.cast(ops.reshape(shares, (-1, 1, taken)), values.dtype)
    return ops.reshape(ops.matmul(shares, rows), (batch, queries, heads * depth))


def _corners(places: Places, locations, weights):
    """The four cells around each place, and what each counts: (B, Q, N, 4) int32 and float32."""
    # The middle of a cell is half a cell from its edge.
    x = locations[..., 0] * places.width - 0.5  # (B, Q, N)
    y = locations[..., 1] * places.height - 0.5
    left, top = ops.floor(x), ops.floor(y)
    cells, shares = [], []
    for down in (0.0, 1.0):
        row, row_share = top + down, 1.0 - ops.abs(y - top - down)
        for right in (0.0, 1.0):
            column, share = left + right, row_share * (1.0 - ops.abs(x - left - right))
            inside = (row >= 0) & (row < places.height) & (column >= 0) & (column < places.width)
            cells.append(_cell(places, row, column))
            shares.append(ops.where(inside, share * weights, 0.0))
    return ops.stack(cells, axis=-1), ops.stack(shares, axis=-1)


def _nearest(places: Places, locations, weights):
    """The cell of each place, and what it counts: (B, Q, N, 1) int32 and float32."""
    # Rounded towards 0, and cut to the map's height along both axes, as the published weights are used.
    last = places.height - 1.0
    x = ops.clip(ops.floor(locations[..., 0] * places.width + 0.5), 0.0, last)  # (B, Q, N)
    y = ops.clip(ops.floor(locations[..., 1] * places.height + 0.5), 0.0, last)
    return ops.expand_dims(_cell(places, y, x), -1), ops.expand_dims(weights, -1)


def _cell(places: Places, row, column):
    """The number of a cell among those of all maps, of an image: (B, Q, N) int32; the nearest inside of its map."""
    row = ops.clip(row, 0.0, places.height - 1.0)
    column = ops.clip(column, 0.0, places.width - 1.0)
    return ops.cast(row * places.width + column, "int32") + places.first


def outwards(heads: int, points: Sequence[int]) -> np.ndarray:
    """Where places lie at first: each head looks its own way, its points one step farther each.

    Args:
        heads: number of heads.
        points: number of points of a head on each map.

    Returns:
        (heads * P * 2,) float32, x and y of each place.

    Source: Zhu et al. 2020, arXiv:2010.04159, appendix A.4.
    """
    angles = np.arange(heads) * (2 * math.pi / heads)
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=-1)  # (heads, 2)
    ways = ways / np.abs(ways).max(axis=-1, keepdims=True)
    steps = np.concatenate([np.arange(1, count + 1) for count in points])  # (P,)
    return (ways[:, None] * steps[:, None]).reshape(-1).astype("float32")


class DeformableAttention(layers.Layer):
    """Each query looks, with each head, at a few points of each map around its reference; where to follows from itself.

    Locations are float32 whatever the policy: half precision loses whole cells.

    Args:
        width: number of channels of queries and values, a multiple of `heads`.
        heads: number of heads, 1 or more.
        points: number of points of a head on each map, or one number a map.
        levels: number of maps, 1 or more, where `points` is one number.
        offset_scale: half of what a reference's width and height are times the farthest point, above 0; 0.5 (default)
            lets it reach the box's sides. Of references that are boxes alone.
        method: how values are taken, one of `METHODS`, "bilinear" by default: see `sampled`.
        projected: whether values and what is seen go through dense layers; True by default, and False in D-FINE.
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.

    Shapes:
        inputs: query (B, Q, width), with its position; references (B, Q, levels or 1, 2), x and y, or (..., 4), centre
            and size, 0 to 1; values (B, S, width), the cells of all maps; `counted` (B, S, 1), 0 for cells that are
            none, None (default) where all are; and by its name `sizes`, height and width of each map.
        outputs: (B, Q, width).

    Raises:
        ValueError: there is no such method.

    Source: Zhu et al. 2020, Deformable DETR, arXiv:2010.04159, section 4.1.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        points: int | Sequence[int] = 4,
        levels: int = 4,
        offset_scale: float = 0.5,
        method: str = "bilinear",
        projected: bool = True,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # references stay in float32
        if method not in METHODS:
            raise ValueError(f"method={method!r}; give one of {', '.join(METHODS)}")
        self.width, self.heads = width, heads
        self.points = [points] * levels if isinstance(points, int) else list(points)
        self.offset_scale, self.method = offset_scale, method
        count = heads * sum(self.points)
        start = outwards(heads, self.points)
        self.offsets = layers.Dense(
            2 * count,
            kernel_initializer="zeros",
            # Whichever the shape and type that are asked for: they are these.
            bias_initializer=lambda shape, dtype=None: ops.convert_to_tensor(start, dtype),
            name=f"{self.name}_offsets",
        )
        self.shares = layers.Dense(count, kernel_initializer="zeros", name=f"{self.name}_weights")
        self.value, self.out = None, None
        if projected:
            self.value = layers.Dense(width, name=f"{self.name}_value")
            self.out = layers.Dense(width, name=f"{self.name}_out")

    def build(self, input_shape=None):
        for layer in (self.offsets, self.shares, self.value, self.out):
            if layer is not None:
                layer.build((None, None, self.width))
        self.built = True

    def call(self, query, references, values, counted=None, sizes=()):
        batch, queries = ops.shape(query)[:2]
        heads, taken = self.heads, sum(self.points)
        places = Places(sizes, self.points, heads)
        values = values if self.value is None else self.value(values)
        if counted is not None:
            values = values * ops.cast(counted, values.dtype)
        values = ops.reshape(values, (batch, -1, heads, self.width // heads))  # (B, S, heads, D)
        logits = ops.cast(self.shares(query), "float32")
        weights = ops.softmax(ops.reshape(logits, (batch, queries, heads, taken)))
        weights = ops.reshape(weights, (batch, queries, heads * taken))  # (B, Q, N)
        offsets = ops.cast(self.offsets(query), "float32")
        offsets = ops.reshape(offsets, (batch, queries, heads * taken, 2))
        locations = self.locations(ops.cast(references, "float32"), offsets, places)  # (B, Q, N, 2)
        seen = sampled(values, places, locations, weights, self.method)  # (B, Q, width)
        return seen if self.out is None else self.out(seen)

    def locations(self, references, offsets, places: Places):
        """Where places lie, 0 to 1 within their maps.

        Args:
            references: (B, Q, levels or 1, 2), x and y, or (..., 4), centre and size, float32.
            offsets: (B, Q, N, 2) from the reference: in cells of a map or, of boxes, in their sizes over twice the
                number of points.
            places: layout of the N places, which says the map of each.

        Returns:
            (B, Q, N, 2).
        """
        if references.shape[2] > 1:
            references = ops.take(
                references, ops.convert_to_tensor(places.levels), axis=2
            )  # (B, Q, N, 2 or 4)
        if references.shape[-1] == 2:
            sides = ops.stack([places.width, places.height], axis=-1)  # (N, 2)
            return references + offsets / sides
        reach = self.offset_scale / np.asarray(self.points, "float32")[places.levels]  # (N,)
        reach = ops.convert_to_tensor(np.stack([reach, reach], axis=-1))
        return references[..., :2] + offsets * reach * references[..., 2:]

    def operations(self, queries: int, cells: int) -> float:
        """Floating-point operations of one image, two a multiply-add, with so many queries and cells of all maps."""
        own = 2 * queries * self.width * 3 * self.heads * sum(self.points)
        dense = 0 if self.value is None else 2 * self.width * self.width * (queries + cells)
        return own + dense + 2 * queries * self.width * sum(self.points)
