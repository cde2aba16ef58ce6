import keras
import numpy as np
import pytest
from tiny_detector import SIDE, flat

import kzoo
from kzoo.data.loading.loader import batches
from kzoo.training.callbacks import AveragedValidation, Evaluation, Recorder, StopOnNaN, score_of


class Watch(keras.callbacks.Callback):
    """Keeps the logs it is shown, and the weights at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.logs = []

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs))
        self.weights = flat(self.model.trainable_variables)


@pytest.mark.long
def test_average_precision_is_in_the_logs_of_plain_fit(untraced, detector, drawn):
    train, val = drawn
    detector.compile(keras.optimizers.AdamW(1e-2), jit_compile=False)
    watch = Watch()
    stop = keras.callbacks.EarlyStopping("val_map50", mode="max", patience=0, min_delta=2.0)
    stream = batches(train, SIDE, 8, "none", repeat=True)
    history = detector.fit(
        stream,
        steps_per_epoch=len(stream),
        epochs=5,
        verbose=0,
        callbacks=[Evaluation(val), watch, stop],
    ).history
    assert history["loss"][1] < history["loss"][0]
    # No gain of 2 is possible: early stopping saw the figure and stopped after the second epoch.
    assert len(history["val_map"]) == len(watch.logs) == 2
    assert history["val_map50"][-1] == watch.logs[-1]["val_map50"]
    assert history["val_map50"][-1] == pytest.approx(kzoo.evaluate(detector, val).map50, abs=1e-9)


@pytest.mark.long
def test_what_is_evaluated_are_the_averaged_weights(untraced, detector, drawn):
    train, val = drawn
    # An average that never moves again after the first step keeps the loss of that step.
    optimizer = keras.optimizers.SGD(1e-2, use_ema=True, ema_momentum=1.0)
    detector.compile(optimizer, jit_compile=False)
    stream = batches(train, SIDE, 8, "none", repeat=True)
    checks = batches(val, SIDE, 8, "none", shuffle=False, repeat=True)
    seen, watch = Evaluation(val), Watch()
    history = detector.fit(
        stream,
        steps_per_epoch=1,
        validation_data=checks,
        validation_steps=1,
        epochs=3,
        verbose=0,
        shuffle=False,
        callbacks=[AveragedValidation(), seen, watch],
    ).history
    raw, averaged = watch.weights, flat(detector.trainable_variables)  # fit ends on the average
    assert np.abs(raw - averaged).max() > 1e-4
    assert seen.metrics.map50 == pytest.approx(kzoo.evaluate(detector, val).map50, abs=1e-9)
    assert history["val_loss"][-1] != history["val_loss"][0]  # batch normalisation's statistics moved on
    detector.compile(jit_compile=False)
    again = detector.evaluate(checks, steps=1, verbose=0, return_dict=True)
    assert history["val_loss"][-1] == pytest.approx(again["loss"], rel=1e-5)


def test_nan_names_epoch_batch_and_causes(detector):
    stop = StopOnNaN()
    stop.set_model(detector)
    stop.on_epoch_begin(4)
    stop.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(ValueError, match="epoch 5, batch 8; likely causes: a learning rate") as caught:
        stop.on_train_batch_end(7, {"loss": float("nan")})
    assert "\n" not in str(caught.value)


def test_the_best_epoch_is_by_precision_else_by_loss():
    assert score_of({"val_map": 0.25, "val_loss": 9.0, "loss": 8.0}) == 0.25
    assert score_of({"val_map": float("nan"), "val_loss": 9.0, "loss": 8.0}) == -9.0
    assert score_of({"loss": 8.0}) == -8.0
    assert score_of({"loss": float("nan")}) == float("-inf")


def test_patience_counts_epochs_without_improvement(detector, tmp_path):
    from kzoo.training.run import RunFolder

    detector.compile(keras.optimizers.SGD(1e-2))
    recorder = Recorder(RunFolder(tmp_path), patience=2)
    recorder.set_model(detector)
    detector.stop_training = False
    for epoch, precision in enumerate([0.1, 0.3, 0.2, 0.3]):
        assert not detector.stop_training
        recorder.on_epoch_end(epoch, {"loss": 1.0, "val_map": precision})
    assert detector.stop_training
    assert (recorder.state["best_epoch"], recorder.state["epoch"]) == (2, 4)
