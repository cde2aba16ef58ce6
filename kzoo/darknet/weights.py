"""Darknet's `.weights` files: a header, then the layers' numbers one after the other, float32, little-endian."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo.darknet.plan import Layer, Plan
from kzoo.system.files import replacing

_FLOAT = np.dtype("<f4")


@dataclass(frozen=True)
class Header:
    """What a file begins with.

    Attributes:
        version: major, minor, revision: 0, 2, 0 is pjreddie's, 0, 2, 5 AlexeyAB's.
        seen: how many images the network was trained on.
    """

    version: tuple[int, int, int] = (0, 2, 5)
    seen: int = 0

    @property
    def wide(self) -> bool:
        """Whether `seen` takes 64 bits rather than 32."""
        major, minor, _ = (
            self.version
        )  # Darknet's own test, word for word; files of 1000 and more are transposed
        return major * 10 + minor >= 2 and major < 1000 and minor < 1000

    @property
    def transposed(self) -> bool:
        """Whether `[connected]` weights stand input by input, as they did before version 0.1."""
        return self.version[0] > 1000 or self.version[1] > 1000

    @property
    def content(self) -> bytes:
        """As it stands in the file."""
        return struct.pack("<3iQ" if self.wide else "<3iI", *self.version, self.seen)

    @classmethod
    def read(cls, path: Path) -> Header:
        """The header of a file.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is too short to have one.
        """
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such weights file; give Darknet's .weights of this network")
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(20)
        if len(start) >= 16:
            version = struct.unpack_from("<3i", start)
            wide = cls(version).wide
            if not wide or len(start) == 20:
                return cls(version, *struct.unpack_from("<Q" if wide else "<I", start, 12))
        what = "is empty" if size == 0 else f"its {size} bytes are less than a header"
        raise ValueError(f"{path}: {what}; it was not written or fetched whole: get it anew")


@dataclass(frozen=True)
class WeightsFile:
    """A file that was found to hold a network's weights.

    Attributes:
        path: where the file lies.
        header: what the file begins with.
        plan: the network whose weights it holds.
        layers: the layers that it holds; of a partial file the first ones of the network.
        normalization_bias: whether `[batchnorm]` layers have a bias there, as AlexeyAB's fork writes them.
    """

    path: Path
    header: Header
    plan: Plan
    layers: list[Layer]
    normalization_bias: bool

    def tensors(self) -> Iterator[tuple[Layer, dict[str, np.ndarray]]]:
        """Layers with their weights, in Darknet's shapes; no more than one layer's are held at a time."""
        with self.path.open("rb") as file:
            file.seek(len(self.header.content))
            for layer in self.layers:
                shapes = stored_shapes(layer, self.normalization_bias)
                arrays = {name: self._read(file, layer, name, shape) for name, shape in shapes.items()}
                if arrays:
                    yield layer, arrays

    def _read(self, file, layer: Layer, name: str, shape: tuple[int, ...]) -> np.ndarray:
        array = np.fromfile(file, _FLOAT, math.prod(shape))
        if _column_wise(layer, name, self.header):
            return array.reshape(shape[::-1]).T
        return array.reshape(shape)


def open_weights(path: str | Path, plan: Plan, stop_at: int | None = None) -> WeightsFile:
    """Opens a file and makes sure, by its size, that it holds the weights of a network.

    Args:
        path: where the file lies.
        plan: the network, worked out by `kzoo.darknet.planning.make_plan`.
        stop_at: the number of the layer before which a partial file ends; a longer file is read that far. Where
            None it is told by a name like `darknet53.conv.74`, else the file has to hold the whole network.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it ends too early or too late; the message says where, and what would fit.
    """
    path = Path(path)
    header = Header.read(path)
    count, odd = divmod(path.stat().st_size - len(header.content), _FLOAT.itemsize)
    named = stop_at is None  # the file's name tells where it ends, if anything does
    stop_at = partial_stop(path) if named else stop_at
    if stop_at is not None and not 0 < stop_at <= len(plan.layers):
        raise ValueError(
            f"{path}: stop_at={stop_at}: {plan.cfg.path} has layers 0 to {len(plan.layers) - 1}; give one"
        )
    layers = plan.layers[:stop_at]
    # Whether [batchnorm] has a bias there, the size alone tells. What fits the whole network is tried first, for a
    # whole file of which a part is read.
    for bias in sorted((False, True), key=lambda bias: count != _floats(plan.layers, bias)):
        wanted = _floats(layers, bias)
        if (count == wanted and not odd) or (count > wanted and stop_at is not None and not named):
            return WeightsFile(path, header, plan, layers, bias)
    raise ValueError(f"{path}: {_misfit(plan, layers, count, odd)}")


def partial_stop(path: str | Path) -> int | None:
    """Where a partial file ends by its name: 74 for `darknet53.conv.74`; None for other names."""
    parts = Path(path).name.rsplit(".", 2)
    return int(parts[2]) if len(parts) == 3 and parts[1] == "conv" and parts[2].isdecimal() else None


def _floats(layers: Iterable[Layer], bias: bool) -> int:
    return sum(math.prod(shape) for layer in layers for shape in stored_shapes(layer, bias).values())


def stored_shapes(layer: Layer, normalization_bias: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what a file holds of a layer."""
    if layer.kind == "batchnorm" and normalization_bias:
        return {"beta": layer.tensors["gamma"], **layer.tensors}
    return layer.tensors


def _misfit(plan: Plan, layers: list[Layer], count: int, odd: int) -> str:
    """Why a file of so many numbers does not fit."""
    wanted = _floats(layers, False)
    asked = f"{plan.cfg.path} asks for {wanted:,} numbers in {len(layers)} layers"
    if count >= wanted:
        left = (count - wanted) * _FLOAT.itemsize + odd
        return f"{left:,} bytes are left over: {asked}; the file holds {count:,}: is it of another cfg?"
    total = 0
    for layer in layers:
        if total + layer.floats > count:
            break
        total += layer.floats
    where = f"layer {layer.index} [{layer.kind}] on line {layer.section.line}"
    if total == count and not odd and total:
        return f"ends before {where}: {asked}; give stop_at={layer.index} to read this much"
    return (
        f"is cut off at {count:,} numbers, in {where}: {asked}; get it whole, or the cfg it was written for"
    )


def write_weights(
    path: str | Path,
    header: Header,
    tensors: Iterable[tuple[Layer, dict[str, np.ndarray]]],
    normalization_bias: bool = False,
) -> Path:
    """Writes a file, whole or not at all.

    Args:
        path: the file to write.
        header: what the file begins with.
        tensors: layers in Darknet's order, and their weights by name in Darknet's shapes.
        normalization_bias: whether a bias is written of `[batchnorm]` layers, as AlexeyAB's fork does.

    Raises:
        ValueError: an array has another shape than Darknet's; the message names the layer.
    """
    path = Path(path)
    with replacing(path) as fresh, fresh.open("wb") as file:
        file.write(header.content)
        for layer, arrays in tensors:
            for name, shape in stored_shapes(layer, normalization_bias).items():
                array = np.ascontiguousarray(arrays[name], _FLOAT)
                if array.shape != shape:
                    raise ValueError(
                        f"{path}: layer {layer.index}: {name} is {array.shape}, Darknet wants {shape}"
                    )
                if _column_wise(layer, name, header):
                    array = np.ascontiguousarray(array.T)
                array.tofile(file)
    return path


def _column_wise(layer: Layer, name: str, header: Header) -> bool:
    """Whether an array stands column by column in the file."""
    return layer.kind == "connected" and name == "weights" and header.transposed
