"""Nothing is ever half-written."""

import errno

import pytest

from kzoo.files import replacing, write_atomically


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
