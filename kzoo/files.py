"""Writing files so that a crash, a full disk or a kill leaves the old one whole; and what is no file at all."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# A drive, "C:/", has one letter; Path makes one slash of two.
_ADDRESS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/(?!/)")


def refuse_address(path: str | Path, remedy: str) -> None:
    """Refuses "https://...", "rtsp://...", "s3://..." where a file or folder on this machine is asked for.

    Args:
        path: what was given; one that exists here is no address, whatever its name.
        remedy: what to do instead.

    Raises:
        ValueError: it is an address; the message has it as it was written.
    """
    text = str(path)
    written = _ADDRESS.sub(r"\1://", text)
    if (written != text or "://" in text) and not Path(text).exists():
        raise ValueError(f"{written}: an address, not a file or folder on this machine; {remedy}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(target: str | Path) -> Iterator[Path]:
    """Gives a fresh name beside `target` to write a file or a folder under, and renames it onto `target` at the end.

    Where the block raises, the half-written thing is removed and `target` stays as it was.

    Args:
        target: the file or folder to be written; its parent is created.

    Yields:
        A path that does not exist yet, in the same folder, with the same suffix.

    Raises:
        OSError: the folder cannot be written, the disk is full; the message names `target`.
        ValueError: `target` is an address.
    """
    refuse_address(target, "write it to a folder and upload it from there")
    target = Path(target)
    holder = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        holder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        fresh = holder / target.name
        yield fresh
        if fresh.is_dir() and target.is_dir():
            # A folder cannot be renamed onto a filled one: the old one steps aside for the time of one rename.
            target.replace(holder / "replaced")
        fresh.replace(target)
    except OSError as error:
        # Whatever temporary name it failed on, the user knows the target only.
        raise OSError(error.errno, error.strerror or str(error), str(target)) from error
    finally:
        if holder is not None:
            _remove(holder)


def write_atomically(target: str | Path, content: bytes | str) -> Path:
    """Writes `content` to `target`, whole or not at all. Text is UTF-8."""
    with replacing(target) as fresh:
        fresh.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(target)
