"""Nothing is ever half-written."""

import errno
import signal
import subprocess
import sys

import pytest

from kzoo.system.files import disk_error, hold, release, replacing, sweep, write_atomically


def test_writes_and_replaces(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    write_atomically(target, "one")
    write_atomically(target, b"two")
    assert target.read_text() == "two"
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_no_rubbish(tmp_path):
    target = write_atomically(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), replacing(target) as fresh:
        fresh.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_folders_are_replaced_whole(tmp_path):
    for word in ("old", "new"):
        with replacing(tmp_path / "folder") as fresh:
            fresh.mkdir()
            (fresh / word).touch()
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_a_full_disk_is_said_in_one_line_with_the_file(tmp_path):
    target = write_atomically(tmp_path / "a.txt", "old")
    with pytest.raises(OSError, match="No space left") as caught, replacing(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(target)
    assert target.read_text() == "old"


KILLED = """
import os, signal, sys
from kzoo.system.files import replacing
with replacing(sys.argv[1]) as fresh:
    fresh.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_swept_and_of_a_living_one_nothing(tmp_path):
    target = tmp_path / "last.keras"
    assert subprocess.run([sys.executable, "-c", KILLED, target]).returncode == -signal.SIGKILL
    (tmp_path / ".notes.abcdefgh").mkdir()
    assert len(list(tmp_path.iterdir())) == 2
    with replacing(target) as fresh:
        fresh.write_text("whole")
        sweep(tmp_path, ["last.keras"])
        assert fresh.exists() and len(list(tmp_path.iterdir())) == 2
    sweep(tmp_path / "missing", ["last.keras"])
    assert {path.name for path in tmp_path.iterdir()} == {".notes.abcdefgh", "last.keras"}


def test_a_folder_whose_replacement_was_cut_short_is_put_in_its_place(tmp_path):
    holder = tmp_path / ".model.abcdefgh"
    for name in ("model", "replaced"):
        (holder / name).mkdir(parents=True)
    sweep(tmp_path, ["model"])
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_is_held_by_one(tmp_path):
    held = hold(tmp_path)
    with pytest.raises(BlockingIOError):
        hold(tmp_path)
    release(held)
    release(hold(tmp_path))


def test_what_the_disk_said_is_found_in_what_libraries_made_of_it():
    error = ValueError("a page")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert disk_error(error).errno == errno.ENOSPC
    assert disk_error(RuntimeError("UNKNOWN: a/b; File too large [Op:Save]")).errno == errno.EFBIG
    assert disk_error(FileNotFoundError(errno.ENOENT, "No such file")) is None


def test_words_of_our_own_are_kept(tmp_path):
    with pytest.raises(OSError, match=r"^[^:]*a\.mp4: no frames$"), replacing(tmp_path / "a.mp4"):
        raise OSError(f"{tmp_path / 'a.mp4'}: no frames")
