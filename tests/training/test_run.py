import csv

import pytest

from kzoo.training.run import RunFolder


def test_names_are_counted_up(tmp_path):
    names = [RunFolder.create(tmp_path / "runs", "exp").path.name for _ in range(3)]
    assert names == ["exp", "exp2", "exp3"]


def test_a_folder_with_a_run_is_refused_or_emptied(tmp_path):
    folder = RunFolder.at(tmp_path / "mine")
    folder.write_args({"epochs": 3})
    folder.last.write_text("old")
    (folder.path / "notes.txt").write_text("the user's own")
    with pytest.raises(FileExistsError, match="holds a run already"):
        RunFolder.at(tmp_path / "mine")
    RunFolder.at(tmp_path / "mine", exist_ok=True)
    assert [file.name for file in folder.path.iterdir()] == ["notes.txt"]


def test_results_keep_columns_in_order_and_gaps_empty(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_results([{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 1.25, "val_map": 0.1234567}])
    with folder.results.open() as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"epoch": "1", "loss": "2.5", "val_map": ""},
        {"epoch": "2", "loss": "1.25", "val_map": "0.123457"},
    ]


def test_what_is_no_run_cannot_be_resumed(tmp_path):
    from kzoo.training import resume

    with pytest.raises(FileNotFoundError, match="no run to resume"):
        resume(tmp_path)
    RunFolder(tmp_path).write_args({})
    with pytest.raises(FileNotFoundError, match="stopped before its first checkpoint"):
        resume(tmp_path)
