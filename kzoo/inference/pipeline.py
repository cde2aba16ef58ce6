"""Reading, looking and writing at the same time: threads that read ahead and write behind.

OpenCV, FFmpeg and the network let go of Python while they work, so that threads are enough.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _Line(Generic[Item]):
    """Things that wait for the next who works on them.

    Args:
        room: number of things that may wait, 1 or more.
        newest: whether the oldest makes room for a new one; otherwise the new one waits.
    """

    def __init__(self, room: int, newest: bool = False):
        self._waiting: deque[Item] = deque()
        self._room, self._newest = room, newest
        self._changed, self._closed = threading.Condition(), False
        self.error: BaseException | None = None
        self.dropped = 0

    def put(self, item: Item) -> bool:
        """Adds a thing; False where nobody takes it any more."""
        with self._changed:
            while len(self._waiting) >= self._room and not self._closed and not self._newest:
                self._changed.wait()
            if self._closed:
                return False
            while len(self._waiting) >= self._room:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(item)
            self._changed.notify_all()
            return True

    def take(self) -> list[Item]:
        """The next thing in a list, which is empty at the end; what went wrong behind it is raised there."""
        with self._changed:
            while not self._waiting and not self._closed:
                # Ctrl-C comes through here, too.
                self._changed.wait(0.2)
            taken = [self._waiting.popleft()] if self._waiting else []
            self._changed.notify_all()
            if not taken and self.error is not None:
                raise self.error
            return taken

    def close(self, error: BaseException | None = None, forget: bool = False) -> None:
        """Nothing more comes; what waits is still taken, or forgotten."""
        with self._changed:
            self._closed, self.error = True, self.error or error
            if forget:
                self._waiting.clear()
            self._changed.notify_all()


class ReadAhead(Generic[Item]):
    """Takes things from an iterable in a thread of its own, while others work on those before.

    Args:
        items: where they come from; what it raises is raised where they are taken.
        room: number of things that may wait, 1 or more.
        newest: whether things that nobody has taken make room for newer ones.

    Attributes:
        dropped: number of things that made room.

    Example:
        >>> with ReadAhead(Video("street.mp4").timed(), 4) as frames:
        ...     for when, frame in frames:
        ...         model.detect(frame)
    """

    def __init__(self, items: Iterable[Item], room: int, newest: bool = False):
        self._line: _Line[Item] = _Line(room, newest)
        self._thread = threading.Thread(target=self._read, args=(items,), daemon=True)

    @property
    def dropped(self) -> int:
        return self._line.dropped

    def _read(self, items: Iterable[Item]) -> None:
        error = None
        try:
            for item in items:
                if not self._line.put(item):
                    break
        except BaseException as raised:
            error = raised
        self._line.close(error)

    def __enter__(self) -> ReadAhead[Item]:
        self._thread.start()
        return self

    def __iter__(self) -> Iterator[Item]:
        while taken := self._line.take():
            yield taken[0]

    def __exit__(self, *raised) -> None:
        self._line.close(forget=True)
        # A camera that gives nothing holds its thread, not us.
        self._thread.join(timeout=2)


class WriteBehind(Generic[Item]):
    """Works on things in a thread of its own, in their order.

    Args:
        work: what is done with each; what it raises is raised at the next `put`, or at the end.
        room: number of things that may wait, 1 or more; the next one waits for room.

    Example:
        >>> with WriteBehind(writer.write, 4) as behind:
        ...     behind.put(frame)
    """

    def __init__(self, work: Callable[[Item], None], room: int):
        self._work, self._line = work, _Line(room)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            while taken := self._line.take():
                self._work(taken[0])
        except BaseException as raised:
            self._line.close(raised, forget=True)

    def put(self, item: Item) -> None:
        """Hands on the next thing.

        Args:
            item: what the work is done with.
        """
        if not self._line.put(item):
            raise self._line.error

    def __enter__(self) -> WriteBehind[Item]:
        self._thread.start()
        return self

    def __exit__(self, kind, *raised) -> None:
        self._line.close(forget=kind is not None)
        self._thread.join()
        if kind is None and self._line.error is not None:
            raise self._line.error
