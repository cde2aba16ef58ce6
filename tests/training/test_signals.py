import os
import signal
import sys
import threading
import time

import pytest

from kzoo.training.fitting import _guarded
from kzoo.training.run import RunFolder
from kzoo.training.signals import Stopped, stopped_by_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_raises_once_and_the_old_handlers_come_back(number):
    before = signal.signal(number, signal.SIG_DFL)  # tests may run under nohup, which ignores one of them
    try:
        with pytest.raises(Stopped) as caught, stopped_by_signals():
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert caught.value.code == 128 + number


def test_what_the_process_does_with_signals_itself_stays():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("own"))
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with stopped_by_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, ignored)
    assert seen == ["own"]


def test_in_another_thread_nothing_is_changed():
    done = []

    def run():
        with stopped_by_signals():
            done.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [signal.SIG_DFL]


def test_a_signal_amid_the_collection_of_garbage_is_not_lost(capsys):
    class Last:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)

    hook = sys.unraisablehook
    with pytest.raises(Stopped) as caught, stopped_by_signals():
        Last()
        time.sleep(30)
    assert caught.value.code == 128 + signal.SIGTERM
    assert sys.unraisablehook is hook and "ignored" not in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_how_to_go_on_is_said_where_there_is_a_checkpoint(tmp_path, capsys, number):
    folder = RunFolder(tmp_path / "my run")
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # which background jobs of a shell ignore
    try:
        for has_checkpoint in (False, True):
            if has_checkpoint:
                folder.last.touch()
            with pytest.raises((Stopped, KeyboardInterrupt)), _guarded(folder):
                os.kill(os.getpid(), number)
            said = capsys.readouterr().err
            assert (f"stopped; go on with: kzoo train --resume '{folder.path}'\n" in said) == has_checkpoint
    finally:
        signal.signal(signal.SIGINT, before)
