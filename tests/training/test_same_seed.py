"""The same seed gives the same weights, and a run that was cut and resumed gives those of one that was not."""

import keras
import numpy as np
import pytest
from tiny_detector import SIDE, flat, tiny_detector

import kzoo
from kzoo.data.formats.shapes import Shapes
from kzoo.training import resume

DROPPING = {"dropping": True}
# A representative of each mechanism: chance in the training step and in layers; chance of the loader, in processes.
QUICK = [
    {"sat": 0.5, "workers": 2, **DROPPING},
    {
        "augment": ["mosaic", {"mixup": {"p": 0.5}}, "flip", "color"],
        "multi_scale": True,
        "balance": 0.9,
        "workers": 2,
        "worker_kind": "process",
    },
]
# Chance in the step that is traced, and what changes its shape or its rate.
IN_THE_STEP = [
    {},
    DROPPING,
    {"sat": 0.5},
    {"sat": 0.5, "workers": 4},
    {"sat": 0.5, "accumulate": 2, "precision": "mixed_bfloat16"},
    {"sat": 1.0, "augment": "mosaic", "workers": 2, "worker_kind": "process"},
    {"multi_scale": True},
    {"sizes": [32, 64, 96]},
    {"schedule": {"policy": "random", "power": 1.0}},
    {"optimizer": "sgd", "ema": False, "accumulate": 2},
]
# Chance in what it is given.
IN_THE_LOADER = [
    {"augment": "light", "workers": 3},
    {"augment": "mosaic", "workers": 2},
    {"augment": "mosaic", "close_mosaic": 1},
    {"augment": "yolov4", "workers": 2, "worker_kind": "process"},
    {"augment": [{"mixup": {"p": 0.5}}]},
    {"augment": [{"cutmix": {"p": 0.5}}]},
    {"augment": [{"copy_paste": {"p": 0.5}}]},
    {"augment": ["affine", "perspective", "rotate90", "flip_vertical"]},
    {"augment": ["random_resized_crop", "gamma", "noise", "jpeg"]},
    {"augment": ["ssd_crop", "clahe", "gray", "median_blur", "motion_blur", "gaussian_blur"]},
    {"augment": ["cutout", "random_erasing", "grid_mask", "hide_and_seek"]},
    {"augment": ["darknet_jitter", "darknet_color", {"albumentations": {"name": "RandomFog", "p": 0.5}}]},
    {"balance": 0.9},
    {"cache": "memory", "augment": "mosaic"},
    {"rectangular": True},
]


class Stop(keras.callbacks.Callback):
    """Raises in the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1:
            raise RuntimeError("power cut")


# With masks, for what pastes objects.
TRAIN = Shapes(12, (SIDE, SIDE), masks=True)


def validated(options):
    """What is validated on: nothing, but where an option is of validation."""
    return Shapes(4, (SIDE, SIDE), split="val") if options.get("rectangular") else None


def trained(run, callbacks=(), dropping=False, precision="float32", **options):
    model = tiny_detector(policy=precision, dropping=dropping)
    options = {"epochs": 2, "batch_size": 4, "augment": "none", "workers": 0, "verbose": 0, **options}
    return kzoo.train(model, TRAIN, validated(options), callbacks=callbacks, run=run, **options)


def check_same_seed_and_resume(tmp_path, options):
    """Compares a run that is cut in its second epoch, with the same seed, and resumed, with a whole one.

    They are the same seed twice up to the cut; what comes after it is the same only if all that came before was.
    """
    whole = trained(tmp_path / "whole", **options)
    with pytest.raises(RuntimeError, match="power cut"):
        trained(tmp_path / "cut", [Stop()], **options)
    tables = [(tmp_path / run / "results.csv").read_text().splitlines() for run in ("cut", "whole")]
    assert len(tables[0]) == 2 and tables[0] == tables[1][:2]
    keras.utils.set_random_seed(12345)  # as another process would stand
    resumed = resume(tmp_path / "cut", TRAIN, validated(options), verbose=0)
    np.testing.assert_array_equal(flat(resumed.model.weights), flat(whole.model.weights))
    assert resumed.rows == whole.rows


@pytest.mark.long
@pytest.mark.parametrize(
    "options", [QUICK[1], pytest.param(QUICK[0], marks=pytest.mark.slow)], ids=["augment", "sat"]
)
def test_cut_and_resumed_equals_uninterrupted(tmp_path, untraced, options):
    check_same_seed_and_resume(tmp_path, options)


@pytest.mark.slow
@pytest.mark.parametrize("options", IN_THE_STEP, ids=str)
def test_same_seed_and_exact_resume_with_every_option(tmp_path, options):
    check_same_seed_and_resume(tmp_path, options)


@pytest.mark.slow
@pytest.mark.parametrize("options", IN_THE_LOADER, ids=str)
def test_same_seed_and_exact_resume_with_every_option_of_the_loader(tmp_path, untraced, options):
    check_same_seed_and_resume(tmp_path, options)


@pytest.mark.slow
def test_a_segmenter_with_dropout(tmp_path):
    options = {
        "epochs": 2,
        "batch_size": 4,
        "image_size": 64,
        "width": 0.1,
        "head": {"dropout": 0.5},
        "verbose": 0,
    }
    whole = kzoo.train("unet", "shapes:12:64", run=tmp_path / "whole", **options)
    with pytest.raises(RuntimeError, match="power cut"):
        kzoo.train("unet", "shapes:12:64", run=tmp_path / "cut", callbacks=[Stop()], **options)
    resumed = resume(tmp_path / "cut", verbose=0)
    np.testing.assert_array_equal(flat(resumed.model.weights), flat(whole.model.weights))
