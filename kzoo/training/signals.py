"""Signals that ask a training to end."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Iterator

_NAMES = ("SIGTERM", "SIGHUP")
_AGAIN = 0.1  # seconds


class Stopped(SystemExit):
    """A signal asked the process to end: it does, with what is to be done at the end, unless somebody catches this.

    Args:
        number: the number of the signal; the process ends with the status 128 + number, as shells expect.
    """

    def __init__(self, number: int):
        super().__init__(128 + number)


def _raise(number, _frame):
    raise Stopped(number)


def _send_again(hook, unraisable) -> None:
    """Sends a signal again that came where Python passes over what is raised: in the midst of collecting garbage.

    Args:
        hook: what is told of everything else that is raised there.
        unraisable: what was raised, as `sys.unraisablehook` is told.
    """
    if isinstance(unraisable.exc_value, Stopped):
        # Later, and from another thread, or it would be raised here, to be passed over once more.
        timer = threading.Timer(_AGAIN, os.kill, (os.getpid(), unraisable.exc_value.code - 128))
        timer.daemon = True
        timer.start()
    else:
        hook(unraisable)


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
    hook = sys.unraisablehook
    sys.unraisablehook = functools.partial(_send_again, hook) if before else hook
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
