import json
import resource
import zipfile

import numpy as np
import pytest
from tiny_detector import SIDE, flat, tiny_detector

import kzoo
from kzoo.model import backbone_layers
from kzoo.training.assembly import compile_model
from kzoo.training.checkpoint import check_state, load_checkpoint, read_state, save_checkpoint, save_model
from kzoo.training.config import TrainConfig


def moved(model, steps: int = 2):
    rng = np.random.default_rng(0)
    for _ in range(steps):
        model.optimizer.apply([rng.normal(size=v.shape).astype("f4") for v in model.trainable_variables])
    return model


@pytest.mark.parametrize("options", [{}, {"optimizer": "sgd", "accumulate": 2, "freeze_backbone": True}])
def test_holds_weights_optimizer_averages_and_state(detector, tmp_path, options):
    model = moved(compile_model(detector, TrainConfig(**options), steps_per_epoch=5))
    save_checkpoint(tmp_path / "last.keras", model, {"epoch": 7, "best": float("nan")})
    again, state = load_checkpoint(tmp_path / "last.keras")
    assert state["epoch"] == 7 and np.isnan(state["best"])
    np.testing.assert_array_equal(flat(again.weights), flat(model.weights))
    assert len(again.optimizer.variables) == len(model.optimizer.variables)
    np.testing.assert_array_equal(flat(again.optimizer.variables), flat(model.optimizer.variables))
    # The next step is the same too: schedule, exclusion from decay and frozen layers came along.
    np.testing.assert_array_equal(flat(moved(again).weights), flat(moved(model).weights))


def test_the_saved_model_is_plain_float32_whatever_it_was_trained_in(tmp_path):
    model = tiny_detector(policy="mixed_bfloat16")
    compile_model(model, TrainConfig(freeze_backbone=True), steps_per_epoch=5)
    save_model(tmp_path / "best.keras", model)
    again = kzoo.load(tmp_path / "best.keras")
    assert (model.dtype_policy.name, again.dtype_policy.name) == ("mixed_bfloat16", "float32")
    assert all(layer.trainable for layer in backbone_layers(again))
    assert not any(layer.trainable for layer in backbone_layers(model))
    np.testing.assert_array_equal(flat(again.weights), flat(model.weights))
    assert again.names == model.names and again.image_size == model.image_size


def test_a_full_disk_leaves_the_checkpoint_before_it(detector, tmp_path):
    model = compile_model(detector, TrainConfig(), steps_per_epoch=5)
    path = tmp_path / "last.keras"
    save_checkpoint(path, model, {"epoch": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # the system's own refusal to write more
    try:
        with pytest.raises(
            OSError, match=r"last.keras: cannot be written \(.*the one before it is whole"
        ) as caught:
            save_checkpoint(path, moved(model), {"epoch": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert load_checkpoint(path)[1] == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.keras"]


def test_weights_that_are_not_finite_are_not_saved(detector, tmp_path):
    model = compile_model(detector, TrainConfig(), steps_per_epoch=5)
    model.trainable_variables[0].assign(model.trainable_variables[0] * float("nan"))
    with pytest.raises(ValueError, match="no longer finite"):
        save_checkpoint(tmp_path / "last.keras", model, {})
    assert not any(tmp_path.iterdir())


def test_other_files_are_refused(detector, tmp_path):
    (tmp_path / "text.keras").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({}))
    for name in ("text.keras", "other.keras"):
        with pytest.raises(ValueError, match=f"{name}: not a checkpoint"):
            read_state(tmp_path / name)


def test_chance_of_layers_goes_on_where_it_was(tmp_path):
    model = compile_model(tiny_detector(dropping=True), TrainConfig(), steps_per_epoch=5)
    images = np.full((1, SIDE, SIDE, 3), 99, np.uint8)
    model(images, training=True)
    save_checkpoint(tmp_path / "last.keras", model, {})
    again, _ = load_checkpoint(tmp_path / "last.keras")
    for name, value in model(images, training=True).items():
        np.testing.assert_array_equal(value, again(images, training=True)[name])
    assert np.any(model(images, training=True)[name] != value)  # it does draw


def rewritten(path, target, name, content):
    """The archive with other bytes in a member, or without it."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.namelist():
            if member != name:
                new.writestr(member, old.read(member))
            elif content is not None:
                new.writestr(member, content)
    return target


def test_damaged_checkpoints_are_told_in_a_line(tmp_path):
    model = moved(compile_model(tiny_detector(dropping=True), TrainConfig(), steps_per_epoch=5))
    path, target = tmp_path / "whole.keras", tmp_path / "last.keras"
    save_checkpoint(path, model, {"epoch": 1})
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("model.weights.h5").header_offset + 5000
    damaged = [
        lambda: target.write_bytes(whole[: len(whole) // 2]),
        lambda: target.write_bytes(b""),
        lambda: target.write_bytes(
            whole[:start] + bytes(b ^ 255 for b in whole[start : start + 9]) + whole[start + 9 :]
        ),
        lambda: rewritten(path, target, "training.json", None),
        lambda: rewritten(path, target, "training.json", b"{"),
        lambda: rewritten(path, target, "training.json", b"\xff\xfe"),
        lambda: rewritten(path, target, "training.json", b"[1]"),
        lambda: rewritten(path, target, "seeds.json", b"[[1]]"),
        lambda: rewritten(path, target, "seeds.json", b'[["a", "b"], [1, 2]]'),
        lambda: rewritten(path, target, "config.json", b"{}"),
        lambda: rewritten(path, target, "model.weights.h5", None),
    ]
    for damage in damaged:
        damage()
        with pytest.raises(ValueError, match=r"^\S+last.keras: ") as caught:
            load_checkpoint(target)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"epoch": "2"}, "epoch"),
        ({"epoch": 3}, "rows"),
        ({"rows": None}, "rows"),
        ({"rows": [{"epoch": 1}, {"epoch": 2, "loss": "low"}]}, "rows"),
        ({"rows": [{"epoch": 1}, {"loss": 1.0}]}, "rows"),
        ({"best": None}, "best"),
        ({"best_epoch": 7}, "best_epoch"),
        ({"stopped": "no"}, "stopped"),
    ],
)
def test_a_state_that_cannot_be_resumed_is_told_with_its_field(tmp_path, change, field):
    state = {"epoch": 2, "best_epoch": 1, "best": 0.5, "stopped": False, "rows": [{"epoch": 1}, {"epoch": 2}]}
    assert check_state(tmp_path, state) == state
    with pytest.raises(ValueError, match=rf"\({field} in training.json is damaged\); train anew"):
        check_state(tmp_path, {**state, **change})
