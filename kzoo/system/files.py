"""Writing files so that a crash, a full disk or a kill leaves the old one whole; and what is no file at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Container, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# What a disk has to say; other errors of the system are about the file that is asked for.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}")  # as `tempfile.mkdtemp` names it

# A drive, "C:/", has one letter; Path makes one slash of two.
_ADDRESS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/(?!/)")


def refuse_address(path: str | Path, remedy: str) -> None:
    """Refuses "https://...", "rtsp://...", "s3://..." where a file or folder on this machine is asked for.

    Args:
        path: the file or folder as the user wrote it; one that exists here is no address, whatever its name.
        remedy: what to do instead.

    Raises:
        ValueError: it is an address; the message has it as it was written.
    """
    text = str(path)
    written = _ADDRESS.sub(r"\1://", text)
    if (written != text or "://" in text) and not Path(text).exists():
        raise ValueError(f"{written}: an address, not a file or folder on this machine; {remedy}")


def _remove(path: Path) -> None:
    """Removes a file, a link or a folder with all in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def hold(folder: str | Path) -> int | None:
    """Holds a folder against others that would hold it, until the descriptor is closed or the process ends.

    Returns:
        An open descriptor; None where the system or the folder's disk has no such locks.

    Raises:
        BlockingIOError: another process, or another call in this one, holds it.
        FileNotFoundError: there is no such folder.
    """
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # a disk without locks
        os.close(descriptor)
        return None
    return descriptor


def release(descriptor: int | None) -> None:
    """Lets go of what `hold` holds."""
    if descriptor is not None:
        os.close(descriptor)


def _new_holder(target: Path) -> tuple[Path, int | None]:
    """A fresh folder beside the target, held, so that `sweep` knows it for alive."""
    while True:
        holder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        with contextlib.suppress(BlockingIOError, FileNotFoundError):  # a sweep came before us
            descriptor = hold(holder)
            if holder.is_dir():
                return holder, descriptor
            release(descriptor)


@contextlib.contextmanager
def replacing(target: str | Path) -> Iterator[Path]:
    """Gives a fresh name beside `target` to write a file or a folder under, and renames it onto `target` at the end.

    Where the block raises, the half-written thing is removed and `target` stays as it was. What a killed process
    leaves is removed by `sweep`.

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
    holder, held = None, None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        holder, held = _new_holder(target)
        fresh = holder / target.name
        yield fresh
        if fresh.is_dir() and target.is_dir():
            # A folder cannot be renamed onto a filled one: the old one steps aside for the time of one rename.
            target.replace(holder / "replaced")
        fresh.replace(target)
    except OSError as error:
        if hasattr(error, "told"):  # by a file within this one's block, which it is about
            raise
        named = str(target) in str(error)
        # Whatever temporary name it failed on, the user knows the target only.
        words = (error.errno, error.strerror or str(error), str(target))
        own = (str(error) if named else f"{target}: {error}",)
        told = OSError(*(own if error.errno is None else words))
        told.told = True
        raise told from error
    finally:
        if holder is not None:
            _remove(holder)
        release(held)


def write_atomically(target: str | Path, content: bytes | str) -> Path:
    """Writes `content` to `target`, whole or not at all. Text is UTF-8."""
    with replacing(target) as fresh:
        fresh.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(target)


def sweep(folder: str | Path, names: Container[str]) -> None:
    """Removes what processes that were killed while they wrote have left in a folder; of living ones, nothing.

    Args:
        folder: the folder to look in, which need not exist.
        names: the names of the files and folders whose half-written forms may go.
    """
    folder = Path(folder)
    for entry in list(folder.iterdir()) if folder.is_dir() else ():
        match = _TEMPORARY.fullmatch(entry.name)
        if match and match[1] in names and entry.is_dir() and not entry.is_symlink():
            with contextlib.suppress(OSError):  # one that is alive, or another's
                _sweep(entry, folder / match[1])


def _sweep(holder: Path, target: Path) -> None:
    """Removes the folder that a killed process has written `target` in, and finishes its last step if it came to it."""
    descriptor = hold(holder)
    if descriptor is None:  # nobody can say whether it is alive
        return
    try:
        if (holder / "replaced").exists() and (holder / target.name).exists() and not target.exists():
            (holder / target.name).replace(target)  # killed between the two renames: the new one is whole
        _remove(holder)
    finally:
        release(descriptor)


def disk_error(error: BaseException | None) -> OSError | None:
    """What the disk said, where libraries wrap it in errors of their own; None where it said nothing.

    Keras and zipfile raise other errors from it, HDF5 and TensorFlow put it in words.
    """
    while error is not None:
        number = getattr(error, "errno", None)
        words = str(error).lower()
        for known in _DISK_ERRORS:
            if number == known or os.strerror(known).lower() in words:
                return OSError(known, os.strerror(known))
        error = error.__cause__ or error.__context__
    return None
