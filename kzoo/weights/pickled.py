"""Tensors of torch's `.pth` files without torch: a reader that runs nothing of what a file says."""

from __future__ import annotations

import itertools
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kzoo.system.reading import refuse_unfit
from kzoo.weights.archives import open_archive

# What files begin with that torch wrote before version 1.6, one pickle after another.
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")  # remember a value by a number
_MOST_VALUES = 2**18  # tensors and others
# Of bfloat16 the bits, for NumPy has no such numbers.
_TYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("<u2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


@dataclass(frozen=True)
class _Kind:
    """A class of storages, by torch's name."""

    name: str


@dataclass
class _Storage:
    """Numbers in a row that tensors are views of.

    Attributes:
        kind: torch's name of their type.
        count: how many there are.
        content: the bytes of all numbers, once they are read.
    """

    kind: str
    count: int
    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage: its first element, shape, and elements from one to the next along each axis."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        """The tensor's numbers.

        Raises:
            ValueError: it reaches beyond its storage.
        """
        sizes = [*self.shape, *self.strides, self.offset]
        if len(self.shape) != len(self.strides) or any(type(n) is not int or n < 0 for n in sizes):
            raise ValueError(f"a tensor of shape {self.shape} and strides {self.strides}")
        kind, empty = _TYPES[self.storage.kind], 0 in self.shape
        # Strides of 0 would make any number of numbers out of a few bytes.
        if math.prod(self.shape) > self.storage.count:
            raise ValueError(f"a tensor of shape {self.shape} of {self.storage.count} numbers")
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if not empty and (last + 1) * kind.itemsize > len(self.storage.content):
            raise ValueError(
                f"a tensor of shape {self.shape} reaches beyond its {self.storage.count} numbers"
            )
        row = np.frombuffer(self.storage.content, kind)
        steps = [step * kind.itemsize for step in self.strides]
        view = np.lib.stride_tricks.as_strided(row[self.offset :], self.shape, steps, writeable=False)
        if self.storage.kind == "BFloat16Storage":
            return (view.astype("<u4") << 16).view("<f4")
        return view.copy()


class _Reader(pickle.Unpickler):
    """Unpickles dictionaries, numbers, texts and tensors; whatever else a file names is refused, not imported."""

    def __init__(self, file: BinaryIO, storages: dict[str, _Storage]):
        super().__init__(file, encoding="utf-8")
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module in ("torch", "torch.storage") and name in _TYPES:
            return _Kind(name)
        raise pickle.UnpicklingError(f"{module}.{name} is no tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        what, kind, key, _, count, *view = pid
        if what != "storage" or not isinstance(kind, _Kind) or any(each is not None for each in view):
            raise pickle.UnpicklingError(f"{what!r} is no storage")
        return self.storages.setdefault(str(key), _Storage(kind.name, int(count)))


def _load(stream: BinaryIO, storages: dict[str, _Storage]) -> Any:
    """What a pickle holds.

    Raises:
        ValueError: it numbers what it remembers beyond its own length, for which Python would make room, or asks for
            more memory than there is.
    """
    start = stream.tell()
    try:
        for count, (code, argument, _) in enumerate(pickletools.genops(stream)):
            if code.name in _PUTS and argument > count:
                raise ValueError(f"the number {argument} where {count} are the most")
        stream.seek(start)
        return _Reader(stream, storages).load()
    except MemoryError:
        raise ValueError("a text longer than memory") from None


def _view(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(tensor: _Tensor, *_) -> _Tensor:
    return tensor


def read_pickled(path: Path) -> dict[str, Any]:
    """What a `.pth` file holds by name, tensors as arrays.

    Args:
        path: a file of `torch.save`, a zip archive or, from before torch 1.6, a row of pickles.

    Raises:
        ValueError, KeyError, OSError, pickle.UnpicklingError, zipfile.BadZipFile and whatever else `pickle` raises: the
            file is damaged, or holds more than dictionaries of tensors, numbers and texts.

    Example:
        >>> tensors = read_pickled(Path("efficientnet-lite0-57934424.pth"))
    """
    refuse_unfit(path, 2**63)
    content = _of_zip(path) if zipfile.is_zipfile(path) else _of_pickles(path)
    if not isinstance(content, Mapping):
        raise ValueError(f"a {type(content).__name__}, not a state dict")
    return _arrays(content, itertools.count())


def _arrays(content: Mapping, counted: Iterator[int]) -> dict[str, Any]:
    """The same mapping with arrays for tensors, in mappings within it, too; `counted` counts what it holds.

    Raises:
        ValueError: it holds more than any state dict, for a pickle may name one thing in many places.
    """
    found = {}
    for key, value in content.items():
        if next(counted) >= _MOST_VALUES:
            raise ValueError(f"more than {_MOST_VALUES} values")
        if isinstance(value, _Tensor):
            value = value.array()
        found[key] = _arrays(value, counted) if isinstance(value, Mapping) else value
    return found


def _of_zip(path: Path) -> Any:
    """The content of a zip archive, whose storages are files of their own."""
    storages: dict[str, _Storage] = {}
    with open_archive(path) as file:
        (pickled,) = [name for name in file.namelist() if name.endswith("/data.pkl")]
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in file.namelist() and file.read(f"{folder}byteorder") != b"little":
            raise ValueError("numbers in big-endian order")
        with file.open(pickled) as stream:
            content = _load(stream, storages)
        for key, storage in storages.items():
            storage.content = file.read(f"{folder}data/{key}")
    return content


def _of_pickles(path: Path) -> Any:
    """The content of a row of pickles: what it is, how it was written, the content, the storages' keys; then these."""
    storages: dict[str, _Storage] = {}
    with path.open("rb") as file:

        def load() -> Any:
            return _load(file, storages)

        if load() != _MAGIC or load() != _PROTOCOL:
            raise ValueError("not written by torch")
        if not load().get("little_endian", True):
            raise ValueError("numbers in big-endian order")
        content = load()
        for key in load():
            storage = storages[str(key)]
            count = int.from_bytes(file.read(8), "little")
            if count != storage.count:
                raise ValueError(f"{count} numbers where there are to be {storage.count}")
            length = count * _TYPES[storage.kind].itemsize
            storage.content = file.read(length)
            if len(storage.content) < length:
                raise ValueError("ends too early")
    return content
