"""Writing files so that a crash, a full disk or a kill leaves the old one whole."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


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
    """
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
