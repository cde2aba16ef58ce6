"""A finished run trains on, with what a resumption may change and nothing else."""

import csv

import numpy as np
import pytest
import yaml
from tiny_detector import SIDE, tiny_detector

import kzoo
from kzoo.data.formats.shapes import Shapes
from kzoo.training import TrainConfig, resume
from kzoo.training.resuming import changed, go_on, nothing_to_do, with_transforms
from kzoo.training.run import RunFolder

FOLDER = RunFolder("runs/x")


@pytest.mark.long
def test_more_epochs_go_on_and_one_that_is_over_says_so(tmp_path, capsys, untraced):
    data = Shapes(8, (SIDE, SIDE))
    options = {"batch_size": 4, "augment": "none", "workers": 0, "patience": 1, "verbose": 0, "burn_in": 2}
    run = tmp_path / "run"
    kzoo.train(tiny_detector(), data, epochs=2, run=run, **options)
    resume(run, data, verbose=2)
    assert (
        f"{run}: nothing to do, for all 2 epochs are trained; to train more give --epochs"
        in capsys.readouterr().out
    )
    with pytest.raises(ValueError, match=r"^epochs=1: .* has trained 2 already; give more$"):
        resume(run, data, epochs=1)
    result = resume(run, data, epochs=4, patience=0, verbose=2)
    assert "schedule cosine: laid over 4 epochs" in capsys.readouterr().out
    with (run / "results.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]
    half = np.cos(np.pi * 6 / 8) * 0.495 + 0.505
    assert result.rows[2]["learning_rate"] == pytest.approx(1e-3 * half, rel=1e-4)
    kept = yaml.safe_load((run / "args.yaml").read_text())
    assert (kept["epochs"], kept["patience"], kept["batch_size"]) == (4, 0, 4)


def test_what_may_change_does_and_the_rest_is_refused_in_a_line():
    asked = TrainConfig(epochs=5, batch_size=4)
    wanted = {"epochs": 9, "patience": 2, "workers": 0, "worker_kind": "thread", "cache": "memory"}
    config = changed(FOLDER, asked, {**wanted, "batch_size": 4}, trained=3)
    assert {name: getattr(config, name) for name in wanted} == wanted
    assert changed(FOLDER, asked, {}, 3) == asked
    for name, value in (
        ("batch_size", 8),
        ("seed", 1),
        ("augment", "none"),
        ("learning_rate", 0.5),
        ("name", "y"),
    ):
        with pytest.raises(ValueError, match=rf"^{name}=.*: runs/x goes on with .* leave it out") as caught:
            changed(FOLDER, asked, {name: value}, 3)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="did you mean epochs"):
        changed(FOLDER, asked, {"epoch": 9}, 3)
    with pytest.raises(ValueError, match="epochs=0"):
        changed(FOLDER, asked, {"epochs": 0}, 0)


def test_places_of_darknets_schedules_are_stretched():
    steps = {"policy": "steps", "steps": [80, 90], "scales": [0.1, 0.1], "power": 4.0}
    config = changed(FOLDER, TrainConfig(epochs=2, schedule=steps), {"epochs": 5}, 2)
    assert config.schedule == {**steps, "steps": [200, 225]}
    config = changed(
        FOLDER, TrainConfig(epochs=2, schedule={"policy": "poly", "max_batches": 7}), {"epochs": 4}, 2
    )
    assert config.schedule["max_batches"] == 14


@pytest.mark.parametrize(
    ("changes", "goes_on"),
    [({}, False), ({"workers": 0}, False), ({"patience": 9}, True), ({"epochs": 9}, True)],
)
def test_what_patience_stopped_goes_on_where_it_is_told(changes, goes_on):
    state = {"epoch": 4, "best_epoch": 1, "stopped": True}
    said = nothing_to_do(FOLDER, TrainConfig(epochs=9, patience=3), state)
    assert "it stopped after epoch 4 of 9" in said and "--patience" in said and "\n" not in said
    go_on(state, changes)
    assert state["stopped"] != goes_on and state.get("resumed_after", 0) == (4 if goes_on else 0)


def test_transforms_of_ones_own_are_taken_and_others_refused():
    def own(rng, sample):
        return sample

    lost = TrainConfig(augment=["flip", str(own)])
    assert with_transforms(FOLDER, lost, ["flip", own]).augment == ["flip", own]
    known = TrainConfig(augment=["flip", "color"])
    assert with_transforms(FOLDER, known, ("flip", "color")) == known
    with pytest.raises(ValueError, match="goes on with"):
        with_transforms(FOLDER, known, ["flip"])
