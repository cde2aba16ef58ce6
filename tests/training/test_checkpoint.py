import json
import resource
import zipfile

import numpy as np
import pytest
from tiny_detector import flat, tiny_detector

import kzoo
from kzoo.model import backbone_layers
from kzoo.training.assembly import compile_model
from kzoo.training.checkpoint import load_checkpoint, read_state, save_checkpoint, save_model
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
