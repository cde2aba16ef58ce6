"""Signals that ask a training to end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

_NAMES = ("SIGTERM", "SIGHUP")


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end; whatever minds Ctrl-C minds this, too.

    Attributes:
        status: what the process is to end with, 128 and the signal's number.
    """

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.status = 128 + number


def _raise(number, _frame):
    raise Stopped(number)


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """For the time of the block SIGTERM and SIGHUP raise `Stopped`, as Ctrl-C raises `KeyboardInterrupt`.

    Not those that the process handles already or ignores, as under nohup; and only in the main thread, for
    Python lets no other have signals.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]  # Windows lacks one
        before = {n: signal.signal(n, _raise) for n in numbers if signal.getsignal(n) is signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
