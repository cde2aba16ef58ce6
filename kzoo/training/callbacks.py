"""What happens beside the steps of `fit`: the task's figures, averaged weights, a stop on NaN, the run's records."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import numpy as np

from kzoo.metrics import DetectionMetrics, SegmentationMetrics
from kzoo.model.streams import as_stream
from kzoo.training import devices, machines
from kzoo.training.checkpoint import inference_copy, save_checkpoint, save_model
from kzoo.training.optimizers import averaged_weights, averages_weights, swap_averages
from kzoo.training.run import RunFolder
from kzoo.training.tasks import task_of


class Evaluation(keras.callbacks.Callback):
    """Puts the figures of the model's task into the logs of every epoch.

    A detector's are `val_map` and `val_map50`, with `val_mask_map` and `val_mask_map50` beside them where it finds
    masks, and `val_drivable_iou` and `val_lane_iou` where it finds roads; a segmenter's `val_mean_iou`, `val_dice` and
    `val_boundary_f1`. Put it before callbacks that look at them, such as `EarlyStopping("val_map", mode="max")`;
    `fit`'s own history and progress bar come last and show them in any case. Where the optimizer keeps an average of
    the weights (`use_ema`), that is what is evaluated.

    Args:
        dataset: anything with `len`, `[i] -> Sample` and `classes`.
        image_size: height and width in pixels that a detector's images are brought to; the model's own where None.
        batch_size: number of images that the model gets at once, 16 by default.
        every: number of epochs from one evaluation to the next, 1 by default; the last epoch is always evaluated.
        rectangular: whether a detector gets batches of images of the same shape: see `kzoo.evaluation.Evaluator`.

    Attributes:
        metrics: the latest `DetectionMetrics` or `SegmentationMetrics`.

    Example:
        >>> model.fit(batches, epochs=10, callbacks=[Evaluation(kzoo.data.load("street", split="val"))])
    """

    def __init__(
        self,
        dataset,
        image_size: tuple[int, int] | None = None,
        batch_size: int = 16,
        every: int = 1,
        rectangular: bool = False,
    ):
        super().__init__()
        self.dataset, self.every = dataset, every
        self.options = {"batch_size": batch_size, "image_size": image_size, "rectangular": rectangular}
        self.metrics: DetectionMetrics | SegmentationMetrics | None = None
        self._evaluator: Callable | None = None

    def on_train_begin(self, logs=None):
        self._evaluator = task_of(self.model).evaluator(self.dataset, self.model, **self.options)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every and epoch + 1 != self.params.get("epochs"):
            return
        with averaged_weights(self.model):
            figures = self._measure()
        if logs is not None:
            logs.update(figures)

    def _measure(self) -> dict[str, float]:
        """The figures of the model as it is now."""
        return self._figures(self.model)

    def _figures(self, model) -> dict[str, float]:
        self.metrics = self._evaluator(model)
        figures = task_of(model).figures
        return {name: float(getattr(self.metrics, figure)) for name, figure in figures.items()}


class Validation(Evaluation):
    """Puts losses and figures of the model that is saved into the logs: of the averaged weights, in float32.

    Half precision costs up to .03 of average precision, by chance, so it would choose another best epoch than the
    file's figures do. Losses and figures of a model that is trained in float32 are computed by itself.

    Args:
        dataset: the dataset to validate on: anything with `len`, `[i] -> Sample` and `classes`.
        batches: endless batches of that dataset, for the losses.
        **options: further arguments of `Evaluation`, such as `batch_size`.
    """

    def __init__(self, dataset, batches, **options):
        super().__init__(dataset, **options)
        self.batches = batches

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        # With several devices one of them measures: a batch that is dealt out gives its images in another order.
        self._twin = inference_copy(self.model, alone=devices.replicas(self.model) > 1)
        self._twin.compile(jit_compile=devices.resolve_jit(False))
        self._stream = as_stream(self.batches)

    def _measure(self) -> dict[str, float]:
        return machines.told(self._measured() if machines.is_first() else None)

    def _measured(self) -> dict[str, float]:
        if self._twin.head is not self.model.head:  # it shares no weights
            self._twin.set_weights(self.model.get_weights())
        losses = self._twin.evaluate(self._stream, steps=len(self.batches), verbose=0, return_dict=True)
        return {**{f"val_{name}": value for name, value in losses.items()}, **self._figures(self._twin)}


class AveragedValidation(keras.callbacks.Callback):
    """Computes `fit`'s own validation losses with the averaged weights, as `use_ema` alone does not."""

    def on_test_begin(self, logs=None):
        swap_averages(self.model)

    def on_test_end(self, logs=None):
        swap_averages(self.model)


class StopOnNaN(keras.callbacks.Callback):
    """Ends a training whose loss is no longer a finite number, and says why that may be."""

    def __init__(self):
        super().__init__()
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = float((logs or {}).get("loss", 0.0))
        if math.isfinite(loss):
            return
        half = self.model.dtype_policy.name == "mixed_float16"
        last = "the small range of float16 (try mixed_bfloat16)" if half else "a burn_in that is too short"
        raise ValueError(
            f"the loss became {loss} in epoch {self.epoch + 1}, batch {batch + 1}; likely causes: "
            f"a learning rate that is too high, faulty boxes (see kzoo data check), {last}"
        )


class LearningRate(keras.callbacks.Callback):
    """Puts the learning rate that the epoch ended with into its logs."""

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))


class EpochBar(keras.callbacks.ProgbarLogger):
    """Keras's progress bar without the parts of the loss, so that it stays on one line of a terminal."""

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, _main_figures(logs))

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, _main_figures(logs))


def _main_figures(logs: dict | None) -> dict:
    return {
        name: value
        for name, value in (logs or {}).items()
        if name != "learning_rate" and not name.removeprefix("val_").endswith("_loss")
    }


class Recorder(keras.callbacks.Callback):
    """Keeps the run folder: results, the best model, the checkpoint; stops a training that no longer improves.

    Of several machines the first one keeps it. Each file is replaced whole, the checkpoint after the best model: a run
    that is killed between them repeats the epoch from the checkpoint before, to the same results.

    Args:
        folder: the folder of the run.
        patience: number of epochs without improvement after which training stops; 0, the default, is never.
        state: what an earlier part of the run left in its checkpoint; None for a new run.

    Attributes:
        state: how far the training got: "epoch" (the last one, from 1), "rows" (the figures of each), "best" (the best
            score, see `score_of`), "best_epoch", and "stopped" (whether `patience` has run out).
    """

    def __init__(self, folder: RunFolder, patience: int = 0, state: dict | None = None):
        super().__init__()
        self.folder, self.patience = folder, patience
        self.state = state or {"epoch": 0, "rows": [], "best": None, "best_epoch": 0, "stopped": False}

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}}
        self.state["rows"].append(row)
        self.state["epoch"] = epoch + 1
        score = score_of(row)
        best = self.state["best"]
        improved = best is None or score > best
        if improved:
            self.state.update(best=score, best_epoch=epoch + 1)
        elif self.patience and epoch + 1 - self._waiting_since() >= self.patience:
            self.state["stopped"] = self.model.stop_training = True
        if not machines.is_first():
            return
        # The files hold the averages: they are the better model, and resuming swaps them back.
        with averaged_weights(self.model):
            if improved:
                save_model(self.folder.best, self.model)
            save_checkpoint(
                self.folder.last, self.model, {**self.state, "averaged": averages_weights(self.model)}
            )
        self.folder.write_results(self.state["rows"])

    def _waiting_since(self) -> int:
        """The best epoch, or the one after which a stopped training was told to go on."""
        return max(self.state["best_epoch"], self.state.get("resumed_after", 0))


def score_of(row: dict) -> float:
    """What makes an epoch the best: average precision or IoU, or a low loss where that is not measured.

    Of models of roads it is the mean of their three tasks.
    """
    of_roads = [row.get(name, math.nan) for name in ("val_map", "val_drivable_iou", "val_lane_iou")]
    if not any(map(math.isnan, of_roads)):
        return sum(of_roads) / len(of_roads)
    for name, sign in (
        ("val_mask_map", 1.0),
        ("val_map", 1.0),
        ("val_mean_iou", 1.0),
        ("val_loss", -1.0),
        ("loss", -1.0),
    ):
        if not math.isnan(row.get(name, math.nan)):
            return sign * row[name]
    return -math.inf


class EventLog(keras.callbacks.Callback):
    """Writes every epoch's figures for TensorBoard; unlike Keras's own it does without that package installed.

    Args:
        folder: to write event files in; `train/` and `validation/` beneath it.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self._writers: dict[str, Callable] = {}

    def on_epoch_end(self, epoch, logs=None):
        import tensorflow as tf

        for name, value in (logs or {}).items():
            part = "validation" if name.startswith("val_") else "train"
            if part not in self._writers:
                self._writers[part] = tf.summary.create_file_writer(str(self.folder / part))
            with self._writers[part].as_default():
                tf.summary.write(
                    f"epoch_{name.removeprefix('val_')}",
                    np.float32(value),
                    step=epoch + 1,
                    metadata=_scalar_metadata(),
                )
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs=None):
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def _scalar_metadata():
    from tensorflow.core.framework import summary_pb2

    return summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="scalars"),
        data_class=summary_pb2.DATA_CLASS_SCALAR,
    )
