import csv
import time

import pytest
from mutations import mutations

import kzoo
from kzoo.training import TrainConfig, resume
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
    assert folder.read_results() == [
        {"epoch": 1, "loss": 2.5},
        {"epoch": 2, "loss": 1.25, "val_map": 0.123457},
    ]


def test_what_is_no_run_cannot_be_resumed(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run to resume"):
        resume(tmp_path)
    RunFolder(tmp_path).write_args({})
    with pytest.raises(FileNotFoundError, match="stopped before its first checkpoint"):
        resume(tmp_path)


def options_file(tmp_path, **changed):
    folder = RunFolder(tmp_path)
    args = {"model": "yolov3-tiny", "data": "shapes:8:64", "val": None, **TrainConfig().to_dict()}
    folder.write_args({**args, **changed})
    return folder


def test_options_are_read_as_they_were_written(tmp_path):
    sources, config = options_file(tmp_path, epochs=3).read_args()
    assert sources == {"model": "yolov3-tiny", "data": "shapes:8:64", "val": None}
    assert config == TrainConfig(epochs=3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("epochs: 50", "epochs: [50"), r"line \d+: not YAML"),
        (lambda text: text.replace("epochs: 50", "epochs: many"), "args.yaml: "),
        (lambda text: text.replace("epochs: 50", "epochs: -2"), "epochs=-2"),
        (lambda text: text.replace("epochs:", "epoch:"), "did you mean epochs"),
        (lambda text: text.replace("model: yolov3-tiny\n", ""), "model is missing"),
        (lambda text: text.replace("data: shapes:8:64", "data: 7"), "data=7 is no name"),
        (lambda text: text.replace("optimizer: adamw", "optimizer: {}"), "args.yaml: "),
        (lambda text: "- a list", "no options"),
        (lambda text: "", "no options"),
        (lambda text: "1: 2", "1 is no option's name"),
        (lambda text: "[" * 5000, "not YAML"),
        (lambda text: "\0", "zero byte"),
    ],
)
def test_damaged_options_are_told_in_a_line(tmp_path, change, words):
    folder = options_file(tmp_path)
    folder.args.write_text(change(folder.args.read_text()))
    with pytest.raises(ValueError, match=words) as caught:
        folder.read_args()
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(folder.args))


def test_bytes_that_are_no_text_are_told_with_their_line(tmp_path):
    folder = options_file(tmp_path)
    folder.args.write_bytes(b"epochs: 3\nname: \xff\xe9\n")
    with pytest.raises(ValueError, match=r"args.yaml:2: byte 0xff is no UTF-8"):
        folder.read_args()


def test_a_folder_takes_one_training_at_a_time(tmp_path):
    folder = options_file(tmp_path / "run")
    folder.last.touch()
    (folder.path / ".last.keras.abcdefgh").mkdir()
    with folder.held():
        assert not (folder.path / ".last.keras.abcdefgh").exists()
        for start in (lambda: kzoo.train("yolov3-tiny", "shapes:8:64", image_size=64, width=0.1, run=folder.path,
                                         exist_ok=True), lambda: resume(folder.path)):  # fmt: skip
            with pytest.raises(BlockingIOError, match="another training is at work in this folder") as caught:
                start()
            assert "\n" not in str(caught.value)
        assert folder.args.exists()
    with folder.held():
        pass


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 6))])
def test_damaged_options_files(tmp_path, seed):
    """A thousand of them: options, or one line with the file's name, soon."""
    folder, outcomes = options_file(tmp_path), set()
    for content in mutations(folder.args.read_bytes(), 1000, seed):
        folder.args.write_bytes(content)
        began = time.process_time()
        try:
            folder.read_args()
            outcomes.add(True)
        except ValueError as error:
            said = str(error)
            assert said.startswith(str(folder.args)) and "\n" not in said and len(said) < 1000, said
            outcomes.add(False)
        assert time.process_time() - began < 5
    assert outcomes == {True, False}
