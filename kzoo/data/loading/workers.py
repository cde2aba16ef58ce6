"""Processes that make batches, each drawn right into memory that it shares with whoever asked for it.

A worker is a new interpreter, not a fork: where the parent has loaded Keras, the worker has not. It loads the
parent's script only if the dataset or a transform is defined there. What goes to and fro is which batch to draw in
which slot of the memory; the parent lends out arrays that lie in a slot, and the slot is free again when the last
of them is gone.
"""

from __future__ import annotations

import collections
import ctypes
import mmap
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import weakref
from multiprocessing.connection import Connection, Pipe

from kzoo.data.loading import worker as child
from kzoo.data.loading.batch import Batch, BatchMaker, inputs_and_targets

_AHEAD = 2  # Batches a worker is asked for: the one it makes, and the next.
_LENT = 4  # Slots beyond those: batches that are handed out without a copy.
_PATIENCE = 2.0  # Seconds until a worker that does not end is killed.
# -P: not what lies in the working folder, until there is the parent's own path to look along.
_START = (
    "import mmap, pickle, sys; file = mmap.mmap(int(sys.argv[1]), 0); sys.path[:] = pickle.load(file); "
    "from kzoo.data.loading.worker import work; work(file, int(sys.argv[2]), int(sys.argv[3]))"
)
_UNSENDABLE = (pickle.PicklingError, AttributeError, TypeError)


class Workers:
    """Worker processes and the memory they draw in. They take orders first come, first served.

    Args:
        maker: what makes the batches; sent to the workers with the dataset and the transforms.
        count: how many processes.

    Raises:
        ValueError: the dataset or a transform cannot be sent, or the system lacks such processes.
        SystemExit: this is a worker itself, of a script that starts workers whenever it is loaded.
    """

    def __init__(self, maker: BatchMaker, count: int):
        if os.name != "posix":
            raise ValueError("batches: worker_kind='process' wants Linux or macOS; use 'thread'")
        if child.active:
            # Out of the script, past whatever it does about exceptions.
            raise SystemExit("it starts workers itself; put what it does under `if __name__ == '__main__':`")
        sent = _pickled(maker)
        self.most_ahead = _AHEAD * count
        self._maker = maker
        # Of the largest size: a slot takes a batch of any.
        self._slot_bytes = max(
            child.offsets(maker.layout(maker.batch_size, size))[-1] for size in maker.sizes
        )
        self._free = list(range(self.most_ahead + _LENT))  # slots
        # What was asked for and not yet taken, the first first: worker, slot, epoch, step.
        self._asked: collections.deque[tuple[int, int, int, int]] = collections.deque()
        processes, self._connections = [], []
        with _memory_file() as slots, _memory_file() as file:
            slots.truncate(len(self._free) * self._slot_bytes)
            self._memory = mmap.mmap(slots.fileno(), 0)
            file.write(sent)
            file.flush()
            for _ in range(count):
                process, connection = _start(file.fileno(), slots.fileno())
                processes.append(process)
                self._connections.append(connection)
        # Also where nobody closes them, at the latest when the interpreter ends.
        self.close = weakref.finalize(self, _stop, processes, self._connections)
        self._processes = processes

    def ask(self, epoch: int, step: int) -> None:
        """Has a batch made. At most `most_ahead` may be asked for and not yet taken."""
        # Not whichever is free, but in turn: a batch draws partners from every fourth before it (see `LANES` in
        # `kzoo.data.loading.batch`), which of two or four workers the same one has made and still holds decoded.
        worker = (epoch * self._maker.steps + step) % len(self._connections)
        slot = self._free.pop()
        self._asked.append((worker, slot, epoch, step))
        try:
            self._connections[worker].send((slot * self._slot_bytes, epoch, step))
        except OSError as error:
            raise self._ended(worker) from error

    def take(self) -> Batch:
        """The batch that was asked for first; waits for it.

        Raises:
            Exception: the one that making the batch raised; the traceback of the worker is in its notes.
            ChildProcessError: a worker has ended.
        """
        error, slot, epoch, step = self._receive()
        if error is not None:
            raise error
        layout = self._maker.layout(self._maker.count(epoch, step), self._maker.size(epoch, step))
        lent = self.most_ahead + _LENT - len(self._free) - len(self._asked) - 1
        memory = (ctypes.c_ubyte * self._slot_bytes).from_buffer(self._memory, slot * self._slot_bytes)
        arrays = child.arrays(memory, 0, layout)
        if lent < _LENT:
            # Whoever holds an array, or a view of one, holds `memory`: when the last of them is gone, the slot is free.
            weakref.finalize(memory, self._free.append, slot).atexit = False
        else:  # whoever takes them keeps many batches: rather copy this one than run out of slots
            arrays = {name: array.copy() for name, array in arrays.items()}
            self._free.append(slot)
        return inputs_and_targets(arrays)

    def forget(self) -> None:
        """Waits for what was asked for, and lets go of it."""
        while self._asked:
            self._free.append(self._receive()[1])

    def _receive(self) -> tuple[Exception | None, int, int, int]:
        """Waits for the first of the batches: what went wrong in making it, its slot, epoch and step."""
        worker, *which = self._asked.popleft()
        try:
            return self._connections[worker].recv(), *which
        except (EOFError, OSError) as failure:
            raise self._ended(worker) from failure

    def _ended(self, worker: int) -> ChildProcessError:
        """What to raise where a worker is gone."""
        if not self.close.alive:
            return ChildProcessError("batches: the workers were stopped")
        process = self._processes[worker]
        try:
            code = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            code = None
        how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with status {code}"
        return ChildProcessError(
            f"batches: worker process {process.pid} ended {how}; if the memory was full, use fewer workers or "
            "smaller batches"
        )


def is_sendable(what) -> bool:
    """Whether something can go to worker processes without their loading the script that was started."""
    try:
        return b"__main__" not in pickle.dumps(what)
    except _UNSENDABLE:
        return False


def _pickled(maker: BatchMaker) -> bytes:
    """What a worker reads, see `_START` and `kzoo.data.loading.worker`."""
    main = sys.modules["__main__"]
    script = sys.argv, getattr(getattr(main, "__spec__", None), "name", None), getattr(main, "__file__", None)
    try:
        return b"".join(map(pickle.dumps, (sys.path, script, maker)))
    except _UNSENDABLE as error:
        raise ValueError(
            f"batches: the dataset or a transform cannot be sent to worker processes: {error}; define it at the "
            f"top of a module, {child.INSTEAD}"
        ) from error


def _memory_file():
    """A file without a name, in memory where the system has such: whatever becomes of us, nothing is left of it."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("kzoo"), "w+b")
    return tempfile.TemporaryFile()


def _start(file: int, slots: int) -> tuple[subprocess.Popen, Connection]:
    """One worker, and the connection to it."""
    ours, theirs = Pipe()
    with theirs:
        handles = (file, theirs.fileno(), slots)
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, *map(str, handles)],
            stdin=subprocess.DEVNULL,
            pass_fds=handles,
            # There is one process a core.
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            # Ctrl-C is for the parent, which stops its workers.
            process_group=0,
        )
    return process, ours


def _stop(processes: list[subprocess.Popen], connections: list[Connection]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    # Last: another thread may be waiting at one, and is woken by the end of the worker.
    for connection in connections:
        connection.close()
