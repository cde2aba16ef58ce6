"""Passes over a dataset in batches, as `fit` takes them: made ahead in threads by Grain, or in processes of our own."""

from __future__ import annotations

import atexit
import weakref

from absl import logging as absl_logging

from kzoo.data.loading.batch import Batch, BatchMaker
from kzoo.data.loading.workers import Workers


def _import_grain():
    """Grain, without its warning on stderr that the profiler of JAX is missing."""
    verbosity = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.ERROR)
    try:
        import grain
    finally:
        absl_logging.set_verbosity(verbosity)
    return grain


grain = _import_grain()

_MANY_EPOCHS = 10**6  # How long `repeat` goes on; Grain wants a length.


class _Span:
    """Batches from one epoch's first to another's last, as Grain reads a source."""

    def __init__(self, maker: BatchMaker, first_epoch: int, epochs: int):
        self.maker = maker
        self.first_epoch = first_epoch
        self.epochs = epochs

    def __len__(self) -> int:
        return self.epochs * self.maker.steps

    def __getitem__(self, position: int) -> Batch:
        return self.maker.batch(*self.epoch_and_step(position))

    def epoch_and_step(self, position: int) -> tuple[int, int]:
        epoch, step = divmod(position, self.maker.steps)
        return self.first_epoch + epoch, step


class Batches(grain.IterDataset):
    """What `batches` returns: a Grain dataset that knows its length and counts its epochs.

    Args:
        maker: makes single batches.
        workers: threads or processes that make batches ahead, 0 for none.
        worker_kind: "thread" or "process".
        repeat: whether a pass goes on without end, epoch after epoch.
        start_epoch: the epoch that the first pass shows, from 0.

    Attributes:
        maker: makes single batches: `batches.maker.batch(epoch, step)`.
        epoch: the epoch that the next pass shows.
        error: what stopped the last pass, or None. TensorFlow wraps an error of the input in one of its own,
            with a page of traceback; this is the one underneath.
    """

    def __init__(self, maker: BatchMaker, workers: int, worker_kind: str, repeat: bool, start_epoch: int):
        super().__init__()
        self.maker = maker
        self.workers = workers
        self.worker_kind = worker_kind
        self.repeat = repeat
        self.epoch = start_epoch
        self.error: Exception | None = None
        self._idle: Workers | None = None  # processes of a pass that is over

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self.maker.steps

    @property
    def max_boxes(self) -> int:
        """Rows of the targets."""
        return self.maker.max_boxes

    def __iter__(self) -> grain.DatasetIterator:
        span = _Span(self.maker, self.epoch, _MANY_EPOCHS if self.repeat else 1)
        if self.workers and self.worker_kind == "process":
            return _Pass(self, _FromProcesses(self, span))
        options = grain.ReadOptions(num_threads=self.workers, prefetch_buffer_size=2 * self.workers)
        return _Pass(self, iter(grain.MapDataset.source(span).to_iter_dataset(options)))

    def take_workers(self) -> Workers:
        """Worker processes for one pass: those of an earlier one, where it is over."""
        workers, self._idle = self._idle, None
        return workers or Workers(self.maker, self.workers)

    def give_back(self, workers: Workers) -> None:
        """Keeps the processes of a pass that is over for the next one."""
        self._idle = workers


class _FromProcesses(grain.DatasetIterator):
    """Batches of a span from worker processes, in their order."""

    def __init__(self, owner: Batches, span: _Span):
        super().__init__()
        self._owner = owner
        self._span = span
        self._workers: Workers | None = None
        self._next = 0  # the position in the span of the next batch to give
        self._asked = 0  # the position of the next one to ask for

    def __next__(self) -> Batch:
        if self._next == len(self._span):
            raise StopIteration
        try:
            if self._workers is None:
                self._workers = self._owner.take_workers()
                self._workers.forget()
            self._ask()
            batch = self._workers.take()
            self._next += 1
            self._ask()
        except BaseException:  # Ctrl-C, too, leaves them in the middle of something.
            self.close()
            raise
        if self._next == len(self._span):
            self._release()
        return batch

    def _ask(self) -> None:
        """Keeps the workers busy."""
        end = min(len(self._span), self._next + self._workers.most_ahead)
        for position in range(self._asked, end):
            self._workers.ask(*self._span.epoch_and_step(position))
        self._asked = max(end, self._asked)

    def get_state(self) -> dict:
        return {"next_index": self._next}

    def set_state(self, state: dict) -> None:
        self._next = self._asked = state["next_index"]
        if self._workers is not None:
            self._workers.forget()

    def close(self) -> None:
        """Stops the workers."""
        if self._workers is not None:
            self._workers.close()
        self._workers = None

    def _release(self) -> None:
        if self._workers is not None:
            self._owner.give_back(self._workers)
        self._workers = None

    def __del__(self):
        self._release()


class _Pass(grain.DatasetIterator):
    """One pass over `Batches`: moves their epoch on once it has shown all of it, and keeps what stopped it.

    The epoch is not moved on at the end of the iteration, because Keras, once it knows the length, does not
    go there; nor at its start, because Keras takes a look at two batches before the first epoch.
    """

    def __init__(self, owner: Batches, stream: grain.DatasetIterator):
        super().__init__(stream)
        self._owner = owner
        self._epoch = owner.epoch
        self._shown = 0
        _OPEN.add(self)

    def __next__(self) -> Batch:
        if not self._parents:
            raise ValueError("batches: this pass was closed; start another with iter(batches)")
        try:
            batch = next(self._parent)
        except StopIteration:
            raise
        except Exception as error:  # kept, because Keras will see a TensorFlow error around it
            self._owner.error = error
            self.close()
            raise
        self._shown += 1
        if self._shown == len(self._owner) and not self._owner.repeat:
            self._owner.epoch = self._epoch + 1
        return batch

    def get_state(self) -> dict:
        return {"epoch": self._epoch, "shown": self._shown, "stream": self._parent.get_state()}

    def set_state(self, state: dict) -> None:
        self._epoch, self._shown = state["epoch"], state["shown"]
        self._parent.set_state(state["stream"])

    def close(self) -> None:
        """Stops the workers."""
        super().close()
        self._parents = ()

    def __del__(self):
        pass  # Its parent knows what to do: processes may be of use to the next pass.


_OPEN: weakref.WeakSet[_Pass] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Stops workers while there still is an interpreter: Keras keeps its iterators to the very end."""
    for one in list(_OPEN):
        one.close()
