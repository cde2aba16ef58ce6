"""Smaller dense layers: each becomes two thin ones, by what is largest in its matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kzoo.model.networks import flops
from kzoo.model.zoo_model import ZooModel

_ROWS = 2048  # of a matrix that are multiplied at once
SHARES = (1 / 4, 1 / 16)  # of VGG16's 4096: 1024 and 256


@dataclass(frozen=True)
class Compression:
    """A compressed model, what it saves, and what it costs.

    Attributes:
        model: the model.
        ranks: for each dense layer the units between its two halves, 0 where it stays whole.
        parameters: numbers of parameters before and after.
        operations: floating-point operations of one image before and after, two a multiply-add.
        change: largest difference of any class's score, 0 to 1, on the images that it was measured on.
    """

    model: ZooModel
    ranks: tuple[int, ...]
    parameters: tuple[int, int]
    operations: tuple[int, int]
    change: float

    def __str__(self) -> str:
        (before, after), (slow, fast) = self.parameters, self.operations
        return (
            f"{self.model.name}: ranks {', '.join(map(str, self.ranks))}; {before:,} to {after:,} parameters, "
            f"{slow / 1e9:.2f} to {fast / 1e9:.2f} GFLOPs, largest change of a score {self.change:.2g}"
        )


def compress(
    model: ZooModel,
    ranks: Sequence[int] | None = None,
    shares: float | Sequence[float] = SHARES,
    images: np.ndarray | None = None,
) -> Compression:
    """A two-stage detector whose dense layers became two each, by truncated singular value decomposition.

    Args:
        model: a model whose head looks at regions with dense layers, such as `fast-rcnn`; it stays as it is.
        ranks: for each dense layer the units between its halves, 1 or more, or 0 to leave it whole; by `shares` where
            None.
        shares: the same as a share of the lesser side of the layer's matrix, above 0 to 1, one for all or one each;
            the paper's 1/4 and 1/16 by default, the last for any further layers.
        images: (B, H, W, 3) in 0..255, or these and proposals by name, to measure the change on; noise where
            None.

    Raises:
        ValueError: the model has no such layers, or is compressed already; ranks or shares are out of range.

    Source: Girshick 2015, arXiv:1504.08083, section 3.1.

    Example:
        >>> smaller = kzoo.compress(model)
        >>> print(smaller)
        >>> smaller.model.save("smaller.keras")
    """
    head = model.head
    branches = getattr(head, "branches", ())
    config = head.get_config()
    dense = _dense(branches[0]) if branches else []
    if not dense:
        raise ValueError(
            f"{model.name}: its head has no dense layers to compress; compress fast-rcnn or the like"
        )
    if any(config.get("ranks") or ()):
        raise ValueError(
            f"{model.name}: compressed already, to ranks {config['ranks']}; compress what it was made of"
        )
    ranks = _ranks([layer.kernel.shape for layer in dense], ranks, shares)
    other = head.altered(ranks=ranks)
    smaller = model.remade(model.network, other)
    _take_weights(head, other)
    for own, theirs in zip(branches, other.branches, strict=True):
        for layer, rank in zip(_dense(own), ranks, strict=True):
            if rank:
                down, up = truncated(np.asarray(layer.kernel), rank)
                _named(theirs, f"{layer.name}_down").set_weights([down])
                _named(theirs, layer.name).set_weights([up, np.asarray(layer.bias)])
    inputs = model.with_proposals(_noise(model) if images is None else images)
    scores = [np.asarray(one.head.class_scores(one(inputs, training=False))) for one in (model, smaller)]
    return Compression(
        smaller,
        tuple(ranks),
        (model.count_params(), smaller.count_params()),
        (flops(model), flops(smaller)),
        float(np.abs(scores[0] - scores[1]).max()),
    )


def truncated(matrix: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Two matrices (I, rank) and (rank, O) whose product is the nearest of that rank to one of (I, O), float32.

    The shorter side's directions are those of the matrix's square, so that the longer one costs a product alone.
    """
    if matrix.shape[0] < matrix.shape[1]:
        down, up = truncated(matrix.T, rank)
        return up.T.copy(), down.T.copy()
    square = np.zeros((matrix.shape[1],) * 2)
    for start in range(0, len(matrix), _ROWS):
        rows = matrix[start : start + _ROWS].astype(np.float64)
        square += rows.T @ rows
    directions = np.linalg.eigh(square)[1][:, ::-1][:, :rank]  # (O, rank), the largest first
    return (matrix @ directions).astype(np.float32), directions.T.astype(np.float32)


def _ranks(shapes: Sequence[tuple[int, int]], ranks, shares) -> list[int]:
    """The rank of each layer of these (I, O)."""
    least = [min(shape) for shape in shapes]
    if ranks is None:
        shares = [shares] if isinstance(shares, (int, float)) else list(shares)
        if not shares or not all(0 < share <= 1 for share in shares):
            raise ValueError(f"shares={shares}: give shares of a layer's rank, above 0 to 1")
        shares = (shares + shares[-1:] * len(shapes))[: len(shapes)]
        ranks = [max(1, round(share * side)) for share, side in zip(shares, least, strict=True)]
    if len(ranks) != len(shapes) or any(
        not 0 <= rank <= side for rank, side in zip(ranks, least, strict=False)
    ):
        raise ValueError(
            f"ranks={list(ranks)}: give one for each of {len(shapes)} dense layers, 0 to {', '.join(map(str, least))}"
        )
    return [int(rank) for rank in ranks]


def _take_weights(head, other) -> None:
    """Gives a head the weights of another's layers of the same names and shapes."""
    theirs = {layer.name: layer for layer in head._flatten_layers(include_self=False) if not layer._layers}
    for layer in other._flatten_layers(include_self=False):
        source = theirs.get(layer.name)
        if layer.weights and source is not None and not layer._layers:
            shapes = [[tuple(each.shape) for each in one.weights] for one in (layer, source)]
            if shapes[0] == shapes[1]:
                layer.set_weights(source.get_weights())


def _dense(branch) -> list:
    """The dense layers of a branch's tower, in their order."""
    return [layer for layer in branch.tower if len(getattr(getattr(layer, "kernel", None), "shape", ())) == 2]


def _named(branch, name: str):
    return next(layer for layer in branch.tower if layer.name == name)


def _noise(model) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, *model.image_size, 3), np.uint8)
