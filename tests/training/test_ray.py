"""Trainings and searches on Ray; where it is not installed, the tests that need it are skipped."""

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from kzoo.training import tuned, tuning
from kzoo.training.run import RunFolder
from kzoo.training.tuned import Trial

with_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install 'kzoo[ray]'"
)
SMALL = {"image_size": 64, "width": 0.1, "batch_size": 4, "augment": "none", "workers": 0, "epochs": 4}
KILLED = """
import os, signal, sys
import keras
from kzoo.training import workers

asked = {small!r}
workers.train_on_ray(2, "yolov3-tiny", "shapes:20:64", **asked, run={run!r}, val="shapes:4:64", clip_norm=0.5)
"""


def rows(run: Path) -> list[dict]:
    file = run / "results.csv"
    return list(csv.DictReader(file.read_text().splitlines())) if file.is_file() else []


def pids_of_workers(parent: int) -> list[int]:
    """Processes of Ray's that train, among the descendants of a process."""
    import psutil

    return [
        one.pid
        for one in psutil.Process(parent).children(recursive=True)
        if "RayTrainWorker" in "".join(one.cmdline())
    ]


@with_ray
@pytest.mark.slow
def test_a_worker_that_is_killed_costs_an_epoch_at_most(tmp_path):
    program = KILLED.format(small=SMALL, run=str(tmp_path / "run"))
    with subprocess.Popen(
        [sys.executable, "-c", program], env=dict(os.environ), start_new_session=True
    ) as process:
        deadline = time.monotonic() + 900
        while len(rows(tmp_path / "run")) < 2 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.2)
        done = len(rows(tmp_path / "run"))
        pids = pids_of_workers(process.pid)
        assert len(pids) == 2 and done >= 2
        os.kill(pids[1], signal.SIGKILL)
        assert process.wait(900) == 0
    assert [int(row["epoch"]) for row in rows(tmp_path / "run")] == [1, 2, 3, 4]


@with_ray
@pytest.mark.slow
def test_a_search_goes_on_and_leaves_a_table_and_a_plot(tmp_path, capsys):
    options = {**{name: SMALL[name] for name in ("width", "batch_size", "workers")}, "epochs": 2}
    asked = {
        "trials": 2,
        "sides": [64],
        "augments": ["none"],
        "out": tmp_path / "tune",
        "minutes": 12,
        **options,
    }
    found = tuning.tune("yolov3-tiny", "shapes:8:64", "shapes:4:64", **asked)
    assert (
        len(found) == 2
        and found[0].score >= found[1].score
        and found[0].learning_rate != found[1].learning_rate
    )
    assert {one.image_size for one in found} == {64} and (
        tmp_path / "tune" / "tune.png"
    ).stat().st_size > 5000
    table = list(csv.DictReader((tmp_path / "tune" / "tune.csv").read_text().splitlines()))
    assert [row["folder"] for row in table] == [one.folder for one in found]
    assert "learning rate" in capsys.readouterr().out
    before = (tmp_path / "tune" / found[0].folder / "results.csv").read_bytes()
    assert tuning.tune("yolov3-tiny", "shapes:8:64", "shapes:4:64", **asked) == found
    assert (tmp_path / "tune" / found[0].folder / "results.csv").read_bytes() == before


def trial(folder, score, epochs=4, **changes):
    values = {"learning_rate": 1e-3, "augment": "light", "image_size": 64, "best_epoch": epochs, **changes}
    return Trial(folder=folder, score=score, epochs=epochs, **values)


def made_run(path: Path, scores, **options):
    run = RunFolder(path)
    path.mkdir(parents=True)
    run.write_args({"model": "yolov3-tiny", "data": "d", "val": None, **options})
    run.write_results([{"epoch": number, "val_map": score} for number, score in enumerate(scores, 1)])


def test_the_table_is_read_from_the_run_folders(tmp_path):
    made_run(tmp_path / "a", [0.1, 0.3, 0.2], learning_rate=0.01, image_size=96, augment="none")
    made_run(tmp_path / "b", [0.1, 0.4], learning_rate=0.02, image_size=[64, 96])
    (tmp_path / "c").mkdir()
    best, other = tuned.table(tmp_path)
    assert (best.folder, best.score, best.epochs, best.best_epoch, best.image_size) == ("b", 0.4, 2, 2, 96)
    assert (other.folder, other.score, other.augment, other.best_epoch) == ("a", 0.3, "none", 2)
    tuned.write_table([best, other], tmp_path)
    text = (tmp_path / "tune.csv").read_text().splitlines()
    assert text[0] == "folder,learning_rate,augment,image_size,epochs,score,best_epoch" and len(text) == 3
    assert text[1] == "b,0.02,light,96,2,0.4,2"


def test_the_plot_shows_each_augmentation(tmp_path):
    trials = [trial("a", 0.3), trial("b", 0.2, 1, augment="none", image_size=96, learning_rate=1e-2)]
    tuned.plot(trials, tmp_path / "tune.png")
    assert (tmp_path / "tune.png").stat().st_size > 5000
    assert tuned.lines(trials)[1].split() == ["0.3000", "1.00e-03", "light", "64", "4", "a"]


def test_what_is_searched_for_is_drawn_around_the_usual():
    space = tuning._space("yolov3-tiny", None, None, None, {"epochs": 3})
    assert space["learning_rate"] == pytest.approx([5e-4, 1.5e-2])
    assert space["image_size"] == [320, 416, 512] and space["augment"] == ["none", "light", "mosaic"]
    assert tuning._space("unet", None, None, [64], {})["augment"] == ["none", "light"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learning_rate": 1e-3}, "learning_rate=0.001: is what is searched for; give --learning-rates"),
        ({"run": "x"}, "run='x': the runs lie in the folder of --out"),
        ({"epochz": 1}, "unknown option 'epochz'"),
    ],
)
def test_options_that_are_searched_for_or_unknown_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        tuning._space("yolov3-tiny", None, None, None, options)


@pytest.mark.parametrize(
    ("size", "words"), [("auto", "batch_size=auto: 3 workers"), (8, "give a multiple of 3")]
)
def test_workers_share_a_batch_of_a_number_of_images(tmp_path, size, words):
    from kzoo.training.workers import train_on_ray

    run = tmp_path / "run"
    with pytest.raises(ValueError, match=words):
        train_on_ray(3, "yolov3-tiny", "shapes:4:64", batch_size=size, run=str(run))
    assert not run.exists()


def test_a_folder_keeps_one_search(tmp_path):
    tuning._check_folder(tmp_path / "tune", {"model": "a"})
    tuning._check_folder(tmp_path / "tune", {"model": "a"})
    assert json.loads((tmp_path / "tune" / "tune.json").read_text()) == {"model": "a"}
    with pytest.raises(ValueError, match=r"holds another search, see tune\.json"):
        tuning._check_folder(tmp_path / "tune", {"model": "b"})


def test_ray_is_told_of_an_epoch_that_is_written(monkeypatch):
    told = []
    ray = types.ModuleType("ray")
    ray.tune = types.SimpleNamespace(report=told.append)
    monkeypatch.setitem(sys.modules, "ray", ray)
    reported = tuning.Reported()
    for epoch in range(2):
        reported.on_epoch_begin(epoch)
        assert [one["epoch"] for one in told] == list(range(1, epoch + 1))
        reported.on_epoch_end(epoch, {"val_map": 0.1 * epoch})
    reported.on_train_end()
    assert told == [{"epoch": 1, "score": 0.0}, {"epoch": 2, "score": 0.1}]


def test_without_ray_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"ray: is missing; .* pip install 'kzoo\[ray\]'"):
        tuning.tune("yolov3-tiny", "shapes:8:64")
