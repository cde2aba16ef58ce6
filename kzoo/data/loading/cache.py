"""Decoded images, kept: those of a moment ago, or all of a dataset, in memory or on disk."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kzoo.data.dataset import Dataset, Selection
from kzoo.structures import Sample
from kzoo.system.files import replacing

log = logging.getLogger("kzoo")

_RECENT_BYTES = 2**28
_HEADER = 128  # Bytes of a .npy file before its pixels.


class Recent:
    """The samples that were shown last, for all threads.

    Args:
        count: samples kept at most, 1 or more.
        most_bytes: bytes that the kept samples' images and masks may take together; 256 MiB.
    """

    def __init__(self, count: int, most_bytes: int = _RECENT_BYTES):
        self.count = count
        self.most_bytes = most_bytes
        self._lock = threading.Lock()
        self._samples: dict[int, Sample] = {}  # by position in the dataset
        self._places: dict[int, int] = {}  # when each of them was shown last
        self._bytes = 0

    def __reduce__(self):
        # Each process keeps its own.
        return Recent, (self.count, self.most_bytes)

    def get(self, index: int, place: int, read: Callable[[int], Sample]) -> Sample:
        """One sample, whose arrays of pixels cannot be written to.

        Args:
            index: the sample's position in the dataset, from 0.
            place: when it is shown, counted in samples since the first of all; the lowest is the first to be forgotten.
            read: gives the sample of a position where it is not kept.
        """
        with self._lock:
            sample = self._samples.get(index)
            if sample is not None:
                self._places[index] = max(place, self._places[index])
                return sample
        # Outside of the lock, so that threads decode at the same time; should two decode one image, the first stays.
        sample = _frozen(read(index))
        with self._lock:
            if index not in self._samples:
                self._samples[index], self._places[index] = sample, place
                self._bytes += _pixel_bytes(sample)
            while len(self._samples) > self.count or self._bytes > self.most_bytes:
                oldest = min(self._places, key=self._places.get)
                del self._places[oldest]
                self._bytes -= _pixel_bytes(self._samples.pop(oldest))
        return sample


def cached(dataset, cache: str | None, copies: int = 1):
    """The dataset, each of its images decoded once.

    Args:
        dataset: anything with `len`, `[i] -> Sample` and `classes`.
        cache: "memory"; "disk" for a folder in Keras's cache, or "disk:FOLDER" for another, which takes one .npy
            file an image and keeps them for later runs: one whose file has changed since is decoded anew; None
            for the dataset itself.
        copies: how many processes will keep one in memory.

    Returns:
        A dataset of equal samples. Their arrays of pixels cannot be written to. How much room they take is logged.

    Raises:
        ValueError: the images take more than is free, or `cache` is none of these.

    Example:
        >>> dataset = cached(kzoo.data.load("street", split="train"), "disk")
    """
    if cache is None:
        return dataset
    kind, _, folder = str(cache).partition(":")
    if kind == "memory" and not folder:
        needed = _needed_bytes(dataset)
        _refuse_beyond(available_memory(), needed * copies, dataset, "memory", "cache='disk'")
        return _InMemory(dataset)
    if kind != "disk":
        raise ValueError(f"batches: unknown cache {cache!r}; give 'memory', 'disk', 'disk:FOLDER' or None")
    return _OnDisk(dataset, Path(folder).expanduser() if folder else default_folder())


def default_folder() -> Path:
    """Where "disk" keeps images: in Keras's folder, `KERAS_HOME` or ~/.keras."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "kzoo" / "images"


class _InMemory:
    """Samples as they were when they were first asked for."""

    def __init__(self, dataset):
        self.dataset = dataset
        self.classes = dataset.classes
        self.semantic = getattr(dataset, "semantic", False)
        self.instances = getattr(dataset, "instances", False)
        self.roads = getattr(dataset, "roads", False)
        self._samples: list[Sample | None] = [None] * len(dataset)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        # Two threads may decode the same image; one of them is kept.
        if self._samples[index] is None:
            self._samples[index] = _frozen(self.dataset[index])
        return self._samples[index]


class _OnDisk(Selection):
    """A dataset whose images come from a folder of arrays, once they are in it."""

    def __init__(self, dataset, folder: Path):
        if not isinstance(dataset, Dataset):
            raise ValueError(
                f"{type(dataset).__name__}: cache='disk' wants a dataset such as kzoo.data.load opens; "
                "use cache='memory'"
            )
        super().__init__(dataset, range(len(dataset)))
        self.folder = folder
        missing = 0  # bytes that are still to be written
        for index in range(len(self)):
            height, width = self._claimed_size(index)
            missing += 0 if self._file(index).exists() else height * width * 3 + _HEADER
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        _refuse_beyond(free, missing, dataset, f"{folder}", "a folder on another disk: cache='disk:FOLDER'")

    def _claimed_size(self, index: int) -> tuple[int, int]:
        return self.record(index).size or self.size(index)

    def _file(self, index: int) -> Path:
        try:
            identity = self.identity(index)
        except FileNotFoundError as error:
            raise ValueError(
                f"{error.filename}: no such image file, and cache='disk' wants one for each image; "
                "mend the dataset or use cache='memory'"
            ) from None
        key = hashlib.blake2b(os.fsencode(identity), digest_size=16).hexdigest()
        return self.folder / key[:2] / f"{key[2:]}.npy"

    def image(self, index: int) -> np.ndarray:
        file = self._file(index)
        try:
            return np.load(file, allow_pickle=False)
        except (FileNotFoundError, ValueError, EOFError):  # not there yet, or damaged
            pass
        image = super().image(index)
        with replacing(file) as fresh:
            np.save(fresh, image)
        return image


def available_memory() -> int | None:
    """Bytes that this process may still take without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        try:
            free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None
    group = Path("/sys/fs/cgroup")  # of a container
    try:
        most = int((group / "memory.max").read_text())
        return max(0, min(free, most - int((group / "memory.current").read_text())))
    except (OSError, ValueError):
        return free


def _needed_bytes(dataset) -> int:
    """Bytes of all images and masks; of a dataset that does not tell sizes, as if all were as large as the first."""
    if not isinstance(dataset, Dataset):
        return _pixel_bytes(dataset[0]) * len(dataset)
    total = 0
    for index in range(len(dataset)):
        record = dataset.record(index)
        height, width = record.size or dataset.size(index)
        layers = 3 + (len(record.boxes) if dataset.masks else 0) + dataset.semantic + dataset.roads
        total += height * width * layers
    return total


def _refuse_beyond(free: int | None, needed: int, dataset, place: str, instead: str) -> None:
    """Says how much is taken, or raises where it is more than there is."""
    name = getattr(dataset, "root", type(dataset).__name__)
    if free is not None and needed > free:
        raise ValueError(
            f"{name}: {len(dataset)} decoded images take {_readable(needed)} and {place} has {_readable(free)} "
            f"free; leave the cache out, or give {instead}"
        )
    # Louder than information, which nobody sees: it is about the machine's memory.
    log.warning("%s: %d decoded images will take %s of %s", name, len(dataset), _readable(needed), place)


def _readable(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _pixels(sample: Sample) -> list[np.ndarray]:
    return [array for array in (sample.image, sample.mask, sample.masks) if array is not None]


def _pixel_bytes(sample: Sample) -> int:
    return sum(array.nbytes for array in _pixels(sample))


def _frozen(sample: Sample) -> Sample:
    """The sample itself; what others get to see at the same time, none of them may write to."""
    for array in _pixels(sample):
        array.flags.writeable = False
    return sample
