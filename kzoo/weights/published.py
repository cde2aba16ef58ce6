"""Weights that authors published: the table of them, and how they come into the cache."""

from __future__ import annotations

import functools
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kzoo.data.names import class_names
from kzoo.progress import track

_TABLE = Path(__file__).with_name("published.yaml")
_CHUNK = 2**18
_TIMEOUT = 30.0  # seconds without an answer


@dataclass(frozen=True)
class Published:
    """A row of the table.

    Attributes:
        address: where the author put the file.
        licence: under which.
        also: further addresses of the same file.
        size: bytes, where they are known.
        sha256, md5: checksums, where one was published.
        checked_by: who published it.
        names: whose class names they are.
        backbone: whether it holds a backbone alone.
        anchors: by level, finest first, where they are not the model's own.
    """

    address: str
    licence: str
    also: list[str] = field(default_factory=list)
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    checked_by: str | None = None
    names: str | None = None
    backbone: bool = False
    anchors: list | None = None

    @property
    def file(self) -> str:
        """What the file is called."""
        return self.address.rsplit("/", 1)[1]

    @property
    def classes(self) -> list[str] | None:
        """The class names."""
        return class_names(self.names)

    def fault(self, path: Path) -> str | None:
        """What tells a file from the published one, by its size and checksum, if anything does."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"{size:,} bytes, the published file has {self.size:,}"
        for kind in ("sha256", "md5"):
            wanted = getattr(self, kind)
            if wanted is None:
                continue
            with path.open("rb") as file:
                found = hashlib.file_digest(file, kind).hexdigest()
            if found != wanted:
                return f"its {kind} is {found}, the published file's {wanted}"
        return None


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


def cache_folder() -> Path:
    """Where fetched files are kept: `kzoo` in Keras's own folder."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "kzoo"


def find(model: str, name: str, backbone: bool = False) -> Published:
    """The row of published weights.

    Args:
        model: the registered name of the architecture.
        name: of the weights, such as "coco".
        backbone: whether a backbone's are wanted.

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
    """The file of published weights, fetched if it is not in the cache yet.

    Raises:
        ValueError: the file is not the published one.
        OSError: it cannot be fetched; the message says what to put where.
    """
    path = cache_folder() / row.file
    if not path.is_file():
        _download(row, path)
    elif fault := row.fault(path):
        raise ValueError(f"{path}: {fault}; remove it, and it is fetched anew")
    return path


def _download(row: Published, path: Path) -> None:
    """Fetches a file from the first address that has it, going on where an earlier attempt stopped."""
    part = path.with_name(f"{path.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    faults, reasons = [], []
    for address in (row.address, *row.also):
        try:
            _receive(address, part)
        except (OSError, http.client.HTTPException) as error:
            reasons.append(str(getattr(error, "reason", error)) or type(error).__name__)
            continue
        fault = row.fault(part)
        if fault is None:
            part.replace(path)
            return
        faults.append(f"{address}: {fault}")
        part.unlink()
    size = "" if row.size is None else f" of {row.size:,} bytes"
    remedy = f"put the file{size} at {path} by other means"
    if faults:
        raise ValueError(f"{faults[0]}; {remedy}")
    raise OSError(f"{row.address}: cannot be fetched ({reasons[0]}); {remedy}")


def _receive(address: str, part: Path) -> None:
    """Appends to `part` what is missing of a file."""
    have = part.stat().st_size if part.is_file() else 0
    # The author's server gives files only to those who come from his page.
    headers = {"Referer": "https://pjreddie.com/", "User-Agent": "kzoo"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        answer = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        # Nothing is missing, unless what is there is longer than the file.
        if error.headers.get("Content-Range") != f"bytes */{have}":
            part.unlink()
            _receive(address, part)
        return
    with answer, part.open("ab" if answer.status == 206 else "wb") as file:
        length = int(answer.headers.get("Content-Length") or 0)
        chunks = track(_chunks(answer), part.stem, total=-(-length // _CHUNK) or None)
        received = sum(file.write(chunk) for chunk in chunks)
    if received < length:
        raise OSError(f"the connection ended after {received:,} of {length:,} bytes")


def _chunks(answer) -> Iterator[bytes]:
    while chunk := answer.read(_CHUNK):
        yield chunk
