"""Training and measuring as Keras has it, for models whose loss is their head's: what they are given is checked."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from kzoo.model.replicas import figures_of_devices
from kzoo.model.streams import Look, as_stream, is_dataset


class CheckedModel(keras.Model):
    """A `keras.Model` that refuses images, targets and settings at once which would fail late, or silently.

    A subclass has a `head`: its task and number of classes say what targets have to be.
    """

    def _look(self, class_weight=None, targets: bool = True) -> Look:
        """The look that is taken at batches for this model.

        Args:
            class_weight: None; anything else is refused.
            targets: whether batches have to have targets, as they do but for `predict`.

        Raises:
            ValueError: there are class weights.
        """
        if class_weight is not None:
            raise ValueError(
                "class_weight is not taken, for images have objects of several classes; give sample_weight, one an "
                "image, or a segmenter's head class_weights"
            )
        return Look(
            self.head.truth or self.head.task, self.head.num_classes, targets, self.head.needs_proposals
        )

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
    ):
        """As Keras has it, but for the loss, which is the head's own, and metrics of raw outputs, which mean nothing.

        Raises:
            ValueError: a loss, its weights or metrics are given; or TensorFlow's compiler is asked for, which does not
                take the loss of every head.
        """
        for name, value, remedy in (
            (
                "loss",
                loss,
                "the loss is the head's own, chosen as the model is built, such as box_loss='giou'",
            ),
            ("loss_weights", loss_weights, "they are arguments of the head, such as box_weight=2"),
            (
                "metrics",
                metrics,
                "the field's own are kzoo.training.Evaluation(dataset) among fit's callbacks",
            ),
            (
                "weighted_metrics",
                weighted_metrics,
                "kzoo.training.Evaluation(dataset) measures, without weights",
            ),
        ):
            if value is not None:
                raise ValueError(f"compile: {name}={value!r} is not taken: {remedy}; leave it out")
        if jit_compile is True and keras.backend.backend() == "tensorflow" and not self.head.supports_jit:
            raise ValueError(
                f"compile: jit_compile=True: {self.name} assigns objects to queries outside of the graph, which "
                "TensorFlow's compiler does not take; leave it out"
            )
        super().compile(
            optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )

    def compile_from_config(self, config):
        """As Keras's, which leaves out models whose `compile` is not its own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Builds the optimizer where devices share batches: all else is there.

        Keras runs the model on a batch for that, of several machines on one that it cannot put together.
        """
        if self._distribute_strategy is not None and self.optimizer is not None and not self.optimizer.built:
            with self._distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def train_step(self, *arguments):
        """As Keras has it."""
        return figures_of_devices(super().train_step(*arguments))

    def test_step(self, *arguments):
        """As Keras has it."""
        return figures_of_devices(super().test_step(*arguments))

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=None,
        class_weight=None,
        sample_weight=None,
        **options,
    ):
        """As Keras has it. Images, targets and weights are looked at first: of datasets those that pass.

        A weight of an image multiplies its share of the loss; what sums are divided by (objects, pixels, images)
        stays as without weights: weights of 1 change nothing, an image of weight 0 trains nothing, and 10 for all
        gives ten times the loss.

        Args:
            x: images (B, H, W, 3) RGB in 0..255, or a dataset of (images, targets) or (images, targets, weights):
                `tf.data`, Grain, such as `kzoo.data.batches`, a generator, a `PyDataset`.
            y: targets of the images, as the head takes them; None where `x` is a dataset.
            batch_size: images a step, 1 or more; 32 where None. Datasets have their own.
            epochs: number of passes over the images, 1 by default.
            verbose: what is printed: "auto" (default), 0 nothing, 1 a bar of progress, 2 a line an epoch.
            callbacks: a list of `keras.callbacks.Callback`; None for none.
            validation_split: share of the images, the last, that are kept for validation, 0 (default) to below 1;
                of arrays alone.
            validation_data: images and targets, and weights where there are, or a dataset of them; None for none.
            shuffle: whether arrays are shuffled before each epoch, which they are where None. Datasets have an order
                of their own.
            class_weight: refused wherever it is not None: an image has objects of several classes.
            sample_weight: (B,) a weight for each image, 0 or more; 1 for all where None.
            **options: further arguments of Keras's `fit`, such as `steps_per_epoch` and `initial_epoch`.

        Raises:
            ValueError: images or targets cannot be meant so; `class_weight` is given; or a callback would set the
                learning rate, which is a schedule that cannot be set.
        """
        check_rate(self.optimizer, callbacks)
        look = self._look(class_weight)
        shuffle = not is_dataset(x) if shuffle is None else shuffle  # Keras warns of what it would not do
        x, y, sample_weight = looked_at(look, x, y, sample_weight)
        if validation_data is not None:
            if is_dataset(validation_data):
                validation_data = as_stream(validation_data, look)
            else:
                validation_data = looked_at(look, *keras.utils.unpack_x_y_sample_weight(validation_data))
        with look.unwrapped():
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle,
                sample_weight=sample_weight,
                **options,
            )

    def evaluate(self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **options):
        """As Keras has it: the means of the losses; see `fit`. `kzoo.evaluate` has the figures of the field."""
        look = self._look()
        if not options.get("_use_cached_eval_dataset"):  # that is `fit`, which has looked
            x, y, sample_weight = looked_at(look, x, y, sample_weight)
        with look.unwrapped():
            return super().evaluate(x, y, batch_size, verbose, sample_weight, **options)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """As Keras has it; see `fit`."""
        x, y, sample_weight = looked_at(self._look(class_weight), x, y, sample_weight)
        return super().train_on_batch(x, y, sample_weight, return_dict=return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """As Keras has it; see `fit`."""
        x, y, sample_weight = looked_at(self._look(), x, y, sample_weight)
        return super().test_on_batch(x, y, sample_weight, return_dict=return_dict)


def looked_at(look: Look, x, y=None, sample_weight=None) -> tuple:
    """Images, targets and weights as Keras is to take them, looked at, or to be looked at on their way.

    Args:
        look: the look that refuses what cannot be meant so.
        x: images (B, H, W, 3), or images and proposals by name, or a dataset, which becomes a stream.
        y: targets by name, or None.
        sample_weight: (B,) weights of the images, or None.

    Returns:
        The three, with arrays in the place of lists, which Keras would take apart.
    """
    if is_dataset(x):
        return as_stream(x, look), y, sample_weight
    look(x, y, sample_weight)
    return _array(x), _array(y), _array(sample_weight)


def _array(values):
    if isinstance(values, Mapping):
        return {name: _array(each) for name, each in values.items()}
    return np.asarray(values) if isinstance(values, (list, tuple)) else values


def check_rate(optimizer, callbacks) -> None:
    """Refuses at once what Keras would end a training for, in the middle of it.

    Args:
        optimizer: the model's optimizer, or None before it is compiled.
        callbacks: callbacks of the training, in whatever nesting.

    Raises:
        ValueError: a callback would set the learning rate, and it is a schedule.
    """
    setters = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
    setting = [type(one).__name__ for one in keras.tree.flatten(callbacks) if isinstance(one, setters)]
    if setting and optimizer is not None and not isinstance(optimizer.learning_rate, keras.Variable):
        raise ValueError(
            f"{setting[0]}: the optimizer's learning rate is a schedule, which no callback can set; give it a number, "
            "or take kzoo.training.AdamW or SGD, whose schedule the callback scales"
        )
