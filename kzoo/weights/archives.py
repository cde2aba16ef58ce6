"""`.keras` files and other archives of strangers: what they would become in memory, looked at before they are opened.

A megabyte of an archive may stand for gigabytes, and so may an array of HDF5 that has nothing but a shape. Both are
refused where they are out of all proportion to the file: trained weights can hardly be packed at all, an optimizer's
zeros by no more than a few times.
"""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from kzoo.data.formats.parsing import parse_json
from kzoo.system.messages import one_line
from kzoo.system.reading import refuse_unfit

MOST_JSON = (
    2**26
)  # bytes of a configuration or a training's state; EfficientNet-B7's configuration has less than 2**20
_MOST_GROWTH = 20  # times a file's own bytes
_ALWAYS = 2**26  # bytes that any file may become
_LARGEST_SIDE = 2**20  # of a layer
# Numbers of a layer's configuration by which its variables grow.
_SIDES = frozenset(
    {"batch_input_shape", "batch_shape", "filters", "input_dim", "input_shape", "kernel_size", "num_classes",
     "output_dim", "size", "strides", "units"}
)  # fmt: skip
CONFIG, WEIGHTS = "config.json", "model.weights.h5"


class ExpandingError(ValueError):
    """A file that would become more than it may; its message is what is wrong, with the file and the limit."""


@contextlib.contextmanager
def open_archive(path: str | Path) -> Iterator[zipfile.ZipFile]:
    """Opens a zip archive whose members fit into memory if the archive does.

    Args:
        path: the file.

    Yields:
        The archive. What is damaged in it shows when it is read.

    Raises:
        OSError: there is no such file.
        zipfile.BadZipFile: it is no archive.
        ExpandingError: its members would become too large.
    """
    refuse_unfit(path, 2**63)
    with zipfile.ZipFile(path) as archive:
        limit = _limit(Path(path).stat().st_size)
        sizes = [(member.file_size, member.filename) for member in archive.infolist()]
        total = sum(size for size, _ in sizes)
        if total > limit:
            raise _expanding(path, max(sizes)[1], total, limit)
        for size, name in sizes:
            if name.endswith(".json") and size > MOST_JSON:
                raise _expanding(path, name, size, MOST_JSON)
        yield archive


def read_json_member(path: str | Path, name: str = CONFIG) -> Any:
    """What a JSON file in an archive holds.

    Args:
        path: the archive.
        name: the name of the file in it.

    Raises:
        KeyError: there is no such file in it.
        OSError, zipfile.BadZipFile: as `open_archive`.
        ValueError: it is no JSON, nested too deep, or too large.
    """
    with open_archive(path) as archive:
        content = archive.read(name)
    return parse_json(content, Path(path) / name)


def check_model_file(path: str | Path) -> int:
    """Refuses a `.keras` file that would take more memory than it may, or have other files read.

    Args:
        path: the file. What is damaged in it is left to those to tell who open it.

    Returns:
        How many numbers the variables of its model may have at most.

    Raises:
        ExpandingError: it would; the message has the file and the limit.
    """
    try:
        _refuse_large_layers(path, read_json_member(path))
        with open_archive(path) as archive, archive.open(WEIGHTS) as member, h5py.File(member) as file:
            limit = _limit(archive.getinfo(WEIGHTS).file_size)
            total = sum(_bytes_of(path, dataset) for dataset in _datasets(path, file))
    except ExpandingError:
        raise
    except Exception:  # broken files fail in every way there is
        return _ALWAYS
    if total > limit:
        raise _expanding(path, WEIGHTS, total, limit)
    return max(_ALWAYS, total)


def check_weights_file(path: str | Path) -> None:
    """Refuses an HDF5 file of weights alone that would take more memory than it may, or have other files read.

    Args:
        path: the file.

    Raises:
        ValueError: it would, with the limit in the message; or it is no HDF5, or damaged.
    """
    refuse_unfit(path, 2**63)
    limit = _limit(Path(path).stat().st_size)
    try:
        with h5py.File(path) as file:
            total = sum(_bytes_of(path, dataset) for dataset in _datasets(path, file))
    except ExpandingError:
        raise
    except Exception as error:  # broken files fail in every way there is
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"{one_line(path)}: no HDF5, or damaged ({one_line(reason)[:200]}); fetch the file anew"
        ) from None
    if total > limit:
        raise _expanding(path, "what it holds", total, limit)


def _datasets(path: str | Path, file: h5py.File) -> Iterator[h5py.Dataset]:
    """The arrays of a file of weights, each once."""
    waiting, seen = [file], set()
    while waiting:
        group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _leading_elsewhere(path, name)
            one = group[name]
            place = h5py.h5o.get_info(one.id).addr
            if place in seen:
                continue
            seen.add(place)
            if isinstance(one, h5py.Group):
                waiting.append(one)
            elif isinstance(one, h5py.Dataset):
                yield one


def _bytes_of(path: str | Path, dataset: h5py.Dataset) -> int:
    if dataset.external or dataset.is_virtual:
        raise _leading_elsewhere(path, dataset.name)
    return math.prod(dataset.shape or ()) * dataset.dtype.itemsize


def _refuse_large_layers(path: str | Path, config: Any) -> None:
    """Raises where a layer has a side that no layer has: Keras makes its variables before it looks at the weights."""
    waiting = [config]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            for key, value in one.items():
                numbers = value if isinstance(value, list) else [value]
                large = [number for number in numbers if type(number) is int and number > _LARGEST_SIDE]
                if key in _SIDES and large:
                    raise ExpandingError(
                        f"{one_line(path)}: {key} of {large[0]} in its {CONFIG}, and no layer has more than "
                        f"{_LARGEST_SIDE}; fetch the file anew, or do not open it"
                    )
                waiting.append(value)
        elif isinstance(one, list):
            waiting += one


def _limit(size: int) -> int:
    return max(_ALWAYS, _MOST_GROWTH * size)


def _expanding(path: str | Path, name: str, size: int, limit: int) -> ExpandingError:
    return ExpandingError(
        f"{one_line(path)}: {one_line(name)[:100]} would become {size} bytes, and more than {limit} are not read of "
        "such a file; fetch it anew, or do not open it"
    )


def _leading_elsewhere(path: str | Path, name: str) -> ExpandingError:
    return ExpandingError(
        f"{one_line(path)}: {one_line(name)[:100]} among its weights leads to another file; do not open it"
    )
