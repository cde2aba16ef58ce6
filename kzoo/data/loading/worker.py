"""What a worker process does: load what makes the batches, and draw those that it is asked for."""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import runpy
import signal
import sys
import traceback
import types
from multiprocessing.connection import Connection

import cv2
import numpy as np

from kzoo.data.loading.batch import BatchMaker

INSTEAD = "or use worker_kind='thread'"  # the end of a remedy, here and in `kzoo.data.loading.workers`
_ALIGNMENT = 64  # Bytes; TensorFlow and JAX take arrays over without a copy from such addresses.

active = False  # Whether this process is a worker.


def offsets(layout: dict) -> list[int]:
    """Where in a slot each array starts, in bytes, and where the last one ends.

    Args:
        layout: shape and type of each array by name, as `BatchMaker.layout` gives it.
    """
    offsets = [0]
    for shape, dtype in layout.values():
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        offsets.append(offsets[-1] + -(-size // _ALIGNMENT) * _ALIGNMENT)  # rounded up
    return offsets


def arrays(memory, start: int, layout: dict) -> dict[str, np.ndarray]:
    """The arrays of a batch that lies in memory.

    Args:
        memory: the memory, as a buffer.
        start: the byte that the batch begins at.
        layout: shape and type of each array by name, as `BatchMaker.layout` gives it.
    """
    return {
        name: np.ndarray(shape, dtype, memory, start + offset)
        for (name, (shape, dtype)), offset in zip(layout.items(), offsets(layout), strict=False)
    }


def work(file: mmap.mmap, connection: int, slots: int) -> None:
    """What a worker does, until the parent closes the connection or is gone.

    Args:
        file: the file that `kzoo.data.loading.workers` has written, read up to the path to look along.
        connection: the file descriptor to talk to the parent by.
        slots: the file descriptor of the memory to draw in.
    """
    global active
    active = True
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop)
    cv2.setNumThreads(0)
    memory = mmap.mmap(slots, 0)
    with contextlib.suppress(EOFError, OSError), Connection(connection) as parent:
        maker = _loaded(file)
        file.close()
        while not stop.wanted:
            start, epoch, step = parent.recv()
            failed = isinstance(maker, Exception)
            with stop:
                error = maker if failed else _draw(maker, memory, start, epoch, step)
            parent.send(error)
    _end()


class _Stop:
    """What the parent's signal does: ends the process, but not within a batch, which may be writing a file."""

    def __init__(self):
        self.wanted = False
        self._drawing = False

    def __call__(self, *_) -> None:
        self.wanted = True
        if not self._drawing:
            _end()

    def __enter__(self) -> None:
        self._drawing = True

    def __exit__(self, *_) -> None:
        self._drawing = False


def _end() -> None:
    """At once, as the parent waits for it: without the long way through all that was imported."""
    sys.stdout.flush()
    os._exit(0)


def _loaded(file: mmap.mmap) -> BatchMaker | Exception:
    """What makes the batches; why it cannot be had, where it cannot."""
    try:
        script = pickle.load(file)
        return _Unpickler(file, script).load()
    except (Exception, SystemExit) as error:
        return ValueError(
            f"batches: a worker process could not load the dataset or a transform: {error or 'it ended'}; "
            f"define it at the top of a module, {INSTEAD}"
        )


class _Unpickler(pickle.Unpickler):
    """Loads the parent's script where something is defined in it, and not before."""

    def __init__(self, file, script: tuple[list[str], str | None, str | None]):
        super().__init__(file)
        self._script = script

    def find_class(self, module: str, name: str):
        if module == "__main__" and self._script is not None:
            script, self._script = self._script, None
            _load_script(*script)
        return super().find_class(module, name)


def _load_script(arguments: list[str], name: str | None, path: str | None) -> None:
    """Makes the parent's script this process's main module, under the name that main guards look for."""
    if name is None and path is None:
        raise ValueError("it is defined in a notebook or a console")
    sys.argv = arguments
    main = types.ModuleType("__mp_main__")
    if name is not None:
        content = runpy.run_module(name, run_name="__mp_main__", alter_sys=True)
    else:
        content = runpy.run_path(path, run_name="__mp_main__")
    vars(main).update(content)
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main


def _draw(maker: BatchMaker, memory: mmap.mmap, start: int, epoch: int, step: int) -> Exception | None:
    """Draws a batch from byte `start` on; what went wrong, if anything did."""
    try:
        layout = maker.layout(maker.count(epoch, step), maker.size(epoch, step))
        maker.batch(epoch, step, arrays(memory, start, layout))
    except Exception as error:
        return _sendable(error)
    return None


def _sendable(error: Exception) -> Exception:
    """The exception with its traceback in words; another one where it does not survive the way."""
    notes = "".join(traceback.format_exception(error))
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(notes)
    return error
