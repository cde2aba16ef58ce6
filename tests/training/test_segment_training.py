"""Training segmenters: from a dataset of masks to a run folder, through the same doors as detectors."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.data.formats.shapes import Shapes
from kzoo.training import Evaluation, resume

pytestmark = pytest.mark.usefixtures("untraced")

SIDE = 64
TINY = {"epochs": 2, "batch_size": 8, "image_size": SIDE, "width": 0.25, "workers": 0, "verbose": 0}
HEAD = {"depth": 0.4, "head": {"batch_norm": True}}


def shapes(count=24, split="train"):
    return kzoo.data.load(f"shapes:{count}:{SIDE}", split, task="segment")


def train(tmp_path, data=None, val=None, **options):
    arguments = {**TINY, **HEAD, "runs": tmp_path, **options}
    return kzoo.train("unet", data or shapes(), val or shapes(8, "val"), **arguments)


def test_a_run_from_end_to_end(tmp_path):
    result = train(tmp_path, loss="ce+dice", augment="light", epochs=3)
    assert result.metrics.names == ("background", "circle", "rectangle", "triangle")
    files = {path.name for path in result.folder.iterdir()}
    assert files >= {
        "best.keras",
        "last.keras",
        "results.csv",
        "confusion.png",
        "train_batch.jpg",
        "val_predictions.jpg",
    }
    assert {"ce_loss", "dice_loss", "val_mean_iou", "val_dice", "val_boundary_f1"} <= set(result.rows[0])
    assert result.rows[-1]["loss"] < result.rows[0]["loss"]
    assert result.model.head.pixel_loss.names == ("ce", "dice")
    assert kzoo.evaluate(result.model, shapes(8, "val")).mean_iou == pytest.approx(
        result.metrics.mean_iou, abs=1e-6
    )


@pytest.mark.slow
def test_resumed_training_ends_where_the_whole_one_does(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    whole = train(tmp_path, epochs=2, augment="light")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, epochs=2, augment="light", callbacks=[Stop()], name="cut")
    rest = resume(tmp_path / "cut", shapes(), shapes(8, "val"), verbose=0)
    for name in ("loss", "val_mean_iou"):
        assert rest.rows[-1][name] == pytest.approx(whole.rows[-1][name], rel=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("cache", [None, "memory"])
def test_mosaics_mixtures_and_sizes(tmp_path, cache):
    options = {"augment": ["mosaic", "cutmix", "flip", "color"], "multi_scale": True, "cache": cache}
    assert np.isfinite(train(tmp_path, **options).rows[-1]["loss"])


def test_plain_fit_has_the_figures():
    model = kzoo.build("unet", num_classes=4, image_size=(SIDE, SIDE), width=0.25, depth=0.4)
    model.compile(keras.optimizers.AdamW(1e-3))
    batches = kzoo.data.batches(shapes(), SIDE, 8, augment="light")
    history = model.fit(batches, epochs=1, callbacks=[Evaluation(shapes(8, "val"))], verbose=0).history
    assert 0 <= history["val_mean_iou"][0] <= 1


def test_classes_that_do_not_match(tmp_path):
    model = kzoo.build("unet", num_classes=2, image_size=(SIDE, SIDE), width=0.25, depth=0.4)
    with pytest.raises(ValueError, match="2 classes, the dataset has 4"):
        kzoo.train(model, shapes(), epochs=1, runs=tmp_path, verbose=0)
    with pytest.raises(ValueError, match=r"knows 2, .* has 4"):
        kzoo.evaluate(model, shapes(4))


def test_boxes_are_no_masks(tmp_path):
    boxes = Shapes(8, (SIDE, SIDE))
    with pytest.raises(ValueError, match="has boxes, and the model trains on semantic masks"):
        kzoo.train("unet", boxes, **TINY, **HEAD, runs=tmp_path)
    with pytest.raises(ValueError, match="has semantic masks, and the model trains on boxes"):
        kzoo.train("yolov3-tiny", shapes(), **TINY, runs=tmp_path)


def test_a_loss_for_segmenters_alone(tmp_path):
    with pytest.raises(ValueError, match="loss"):
        kzoo.train("yolov3-tiny", Shapes(8, (SIDE, SIDE)), loss="dice", runs=tmp_path, **TINY)


def test_options_of_detectors_are_refused_before_the_first_epoch(tmp_path):
    with pytest.raises(ValueError, match="rectangular=True is not for a segmenter; leave it out"):
        train(tmp_path, rectangular=True)
    assert not (tmp_path / "exp").exists()
