"""Files of strangers, read whole: what is no file, and what no memory holds, is refused before a byte is asked for.

A pipe is never read to its end, a device has none, and a file of a terabyte may have no byte on the disk.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from kzoo.system.messages import one_line

MOST_BYTES = 2**32  # of one file, if not told otherwise
_LIFT = "KZOO_MAX_BYTES"
_SPECIAL = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class UnfitFileError(ValueError):
    """A file that is not to be read, as an error in one line.

    Attributes:
        reason: what is wrong with it, without its name.
        remedy: what to do about it.
    """

    def __init__(self, path: Path, reason: str, remedy: str):
        super().__init__(f"{one_line(path)}: {reason}; {remedy}")
        self.path, self.reason, self.remedy = path, reason, remedy

    def __reduce__(self):
        # Errors cross from worker processes.
        return UnfitFileError, (self.path, self.reason, self.remedy)


def refuse_unfit(path: str | Path, most: int | None = None) -> None:
    """Refuses what is not to be read whole: pipes, devices, sockets, and files of too many bytes.

    Args:
        path: the file, or a link to it.
        most: bytes that it may have; where None 2**32, or what the environment's KZOO_MAX_BYTES says.

    Raises:
        OSError: there is no such file.
        UnfitFileError: it is not to be read; the message has the limit.
        ValueError: KZOO_MAX_BYTES is no number.
    """
    path = Path(path)
    state = path.stat()
    what = next((what for is_one, what in _SPECIAL if is_one(state.st_mode)), None)
    if what is not None:
        raise UnfitFileError(path, f"{what}, not a file", "remove it, or give a file")
    limit = _most_bytes() if most is None else most
    if state.st_size > limit:
        remedy = f"cut it up, or set {_LIFT}={state.st_size}" if most is None else "cut it up, or remove it"
        raise UnfitFileError(path, f"{state.st_size} bytes, and more than {limit} are not read", remedy)


def open_file(path: str | Path, most: int | None = None) -> BinaryIO:
    """Opens a file for its bytes; see `refuse_unfit` for what is refused."""
    refuse_unfit(path, most)
    return Path(path).open("rb")


def read_bytes(path: str | Path, most: int | None = None) -> bytes:
    """All bytes of a file; see `refuse_unfit` for what is refused."""
    with open_file(path, most) as file:
        return file.read()


def beginning(path: str | Path, count: int) -> bytes:
    """The first bytes of a file, to tell what it is; none of what is no file."""
    try:
        with open_file(path, 2**63) as file:
            return file.read(count)
    except UnfitFileError:
        return b""


def _most_bytes() -> int:
    most = os.environ.get(_LIFT)
    if not most:
        return MOST_BYTES
    if not most.isdecimal() or not int(most):
        raise ValueError(f"{_LIFT}={most}: give a number of bytes, such as {2**34}")
    return int(most)
