"""The one model class: a network that sees images, and a head that knows what its outputs mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import layers, ops

from kzoo.augment.letterbox import check_resize
from kzoo.heads import Head
from kzoo.policy import check_settings, dtype_policy
from kzoo.streams import Look, as_stream, is_dataset
from kzoo.structures.targets import check_keys


@keras.saving.register_keras_serializable("kzoo")
class ZooModel(keras.Model):
    """A trainable model that predicts results rather than raw numbers.

    Args:
        network: a functional model from images (B, H, W, 3) in 0..255 to a list of feature maps, with the
            normalisation inside.
        head: raw outputs, loss and decoding.
        image_size: height and width in pixels that `detect`, `evaluate` and exports use.
        names: class names, in the order of the labels.
        resize: how photographs become its input: one of `kzoo.augment.RESIZES`.
        origin: what `kzoo.darknet` keeps of the files it read the model from, to write it back.

    Example:
        >>> model = kzoo.build("yolov3-tiny", num_classes=3)
        >>> model.compile(keras.optimizers.AdamW(1e-3))   # the loss is the head's own
        >>> model.fit(batches)
        >>> model.predict(images)["boxes"]                # (B, M, 4) xyxy pixels
    """

    def __init__(
        self,
        network: keras.Model,
        head: Head,
        image_size: Sequence[int],
        names: Sequence[str] | None = None,
        resize: str = "letterbox",
        origin: dict | None = None,
        **kwargs,
    ):
        check_settings()
        super().__init__(**kwargs)
        self.network, self.head = network, head
        self.image_size = tuple(int(v) for v in image_size)
        self.names = list(names or ())
        self.resize = check_resize(resize)
        self.origin = origin
        self.loss_means = {name: keras.metrics.Mean(name=f"{name}_loss") for name in head.loss_names}
        self.build()

    @property
    def task(self) -> str:
        """ "detect", "segment", "instance" or "classify"."""
        return self.head.task

    @property
    def multiple(self) -> int:
        """What the input's sides have to be multiples of."""
        return getattr(self.head, "multiple", None) or max(getattr(self.head, "strides", (1,)))

    def check_size(self, image_size: Sequence[int]) -> tuple[int, int]:
        """Height and width in pixels, if the network takes images of them.

        Raises:
            ValueError: they are no multiples of what they have to be, or so small that no cell is left of a map.
        """
        height, width = (int(side) for side in image_size)
        multiple, what = self.multiple, f"image_size={tuple(image_size)}"
        if min(height, width) < multiple or height % multiple or width % multiple:
            raise ValueError(f"{what}: height and width must be multiples of {multiple} for {self.name}")
        try:
            self.network.compute_output_spec(keras.KerasTensor((1, height, width, 3)))
        except ValueError:
            raise ValueError(
                f"{what}: {self.name} takes no images of this size; its own is {self.image_size}"
            ) from None
        return height, width

    def build(self, input_shape=None):
        if not self.head.built:
            self.head.build([feature.shape for feature in self.network.outputs])
        self.built = True

    def features(self, images, training=None) -> list:
        """The network's feature maps, of which one alone would be no list."""
        found = self.network(images, training=training)
        return list(found) if isinstance(found, (list, tuple)) else [found]

    def call(self, images, training=None):
        return self.head(self.features(images, training), training=training)

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
            ValueError: a loss, its weights or metrics are given.
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
            y: targets of the images, as the head takes them.
            shuffle: as in Keras, where it is for arrays alone: None shuffles those.
            class_weight: not taken.
            sample_weight: (B,) a weight for each image.
            **options: and all others as in Keras.

        Raises:
            ValueError: images or targets cannot be meant so; `class_weight` is given; or a callback would set the
                learning rate, which is a schedule that cannot be set.
        """
        _check_rate(self.optimizer, callbacks)
        look = self._look(class_weight)
        shuffle = not is_dataset(x) if shuffle is None else shuffle  # Keras warns of what it would not do
        x, y, sample_weight = _looked_at(look, x, y, sample_weight)
        if validation_data is not None:
            if is_dataset(validation_data):
                validation_data = as_stream(validation_data, look)
            else:
                validation_data = _looked_at(look, *keras.utils.unpack_x_y_sample_weight(validation_data))
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
            x, y, sample_weight = _looked_at(look, x, y, sample_weight)
        with look.unwrapped():
            return super().evaluate(x, y, batch_size, verbose, sample_weight, **options)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """As Keras has it; see `fit`."""
        x, y, sample_weight = _looked_at(self._look(class_weight), x, y, sample_weight)
        return super().train_on_batch(x, y, sample_weight, return_dict=return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """As Keras has it; see `fit`."""
        x, y, sample_weight = _looked_at(self._look(), x, y, sample_weight)
        return super().test_on_batch(x, y, sample_weight, return_dict=return_dict)

    def _look(self, class_weight=None) -> Look:
        if class_weight is not None:
            raise ValueError(
                "class_weight is not taken, for images have objects of several classes; give sample_weight, one an "
                "image, or a segmenter's head class_weights"
            )
        return Look(self.task, self.head.num_classes)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        check_settings()
        check_keys(self.task, y)
        if sample_weight is None:
            losses = self.head.loss(y, y_pred)
        else:
            # Of arrays Keras hands on one for each target, all the same.
            weight = ops.cast(keras.tree.flatten(sample_weight)[0], "float32")
            losses = self.head.loss(y, y_pred, ops.reshape(weight, (-1,)))
        count = ops.shape(keras.tree.flatten(y)[0])[0]
        for name, value in losses.items():
            self.loss_means[name].update_state(value, sample_weight=count)
        # TensorFlow adds up the gradients of its replicas.
        replicas = getattr(getattr(self, "distribute_strategy", None), "num_replicas_in_sync", 1)
        return (sum(losses.values()) + sum(self.losses)) / replicas

    def decoder(self, sides: tuple[int, ...] = ()) -> DecodedModel:
        """A model from images to decoded results, which `predict` runs and exports hold.

        Args:
            sides: height and width of the images, where they are known. One model for each of them: traced for a
                second size, one model would be traced for any, and selections need a number of boxes.
        """
        # A closure, past Keras's attribute tracking: as sublayers they would be saved with the model.
        if "_get_decoders" not in self.__dict__:
            made = {}
            self.__dict__["_get_decoders"] = lambda: made
        check_settings()
        decoders = self.__dict__["_get_decoders"]()
        if sides not in decoders:
            decoders[sides] = DecodedModel(self)
        return decoders[sides]

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None) -> dict:
        """Decoded results for images, as NumPy arrays.

        Args:
            x: images (B, H, W, 3) RGB in 0..255, or a dataset of batches.
            batch_size: images a step, 32 where None.
            verbose: as in Keras.
            steps: batches of a dataset that never ends.
            callbacks: as in Keras.

        Returns:
            For a detector `boxes` (B, M, 4) xyxy pixels of the input, `scores` (B, M) best first, and `labels`
            (B, M), -1 where there is no detection; for a segmenter `mask` (B, H, W) and `probabilities`
            (B, H, W, classes); for a classifier `scores` (B, classes) and `label` (B,).

        Raises:
            ValueError: these are no images in 0..255.
        """
        look = Look(self.task, self.head.num_classes, targets=False)
        x, *_ = _looked_at(look, x)
        with look.unwrapped():
            return self.decoder(_sides(x)).predict(x, batch_size, verbose, steps, callbacks)

    def predict_on_batch(self, x) -> dict:
        """Decoded results for one batch of images, as NumPy arrays; `predict` without its bookkeeping."""
        x, *_ = _looked_at(Look(self.task, self.head.num_classes, targets=False), x)
        return self.decoder(_sides(x)).predict_on_batch(x)

    def detect(self, source, **arguments):
        """Finds objects in a photograph: see `kzoo.inference.detect.detect`."""
        from kzoo.inference.detect import detect

        return detect(self, source, **arguments)

    def segment(self, source, **arguments):
        """The class of every pixel of a photograph of any size: see `kzoo.inference.segment.segment`."""
        from kzoo.inference.segment import segment

        return segment(self, source, **arguments)

    def remade(self, network: keras.Model, head: Head) -> ZooModel:
        """A model of another network and head, and the same in all else."""
        rest = (self.image_size, self.names, self.resize, self.origin)
        return ZooModel(network, head, *rest, name=self.name, dtype=head.dtype_policy)

    def get_config(self):
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "head": keras.saving.serialize_keras_object(self.head),
            "image_size": list(self.image_size),
            "names": list(self.names),
            "resize": self.resize,
            "origin": self.origin,
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        check_settings()
        # A functional model does not keep its own policy; it takes the one that is set.
        with dtype_policy(config["dtype"]):
            parts = {
                key: keras.saving.deserialize_keras_object(config[key], custom_objects)
                for key in ("network", "head")
            }
            return cls(**{**config, **parts, "dtype": None})


def _looked_at(look: Look, x, y=None, sample_weight=None) -> tuple:
    """What Keras is to take for them: a stream for a dataset, arrays for lists, which it would take apart."""
    if is_dataset(x):
        return as_stream(x, look), y, sample_weight
    look(x, y, sample_weight)
    if isinstance(y, Mapping):
        y = {name: _array(values) for name, values in y.items()}
    return _array(x), y, _array(sample_weight)


def _array(values):
    return np.asarray(values) if isinstance(values, (list, tuple)) else values


def _check_rate(optimizer, callbacks) -> None:
    """Refuses at once what Keras would end a training for, in the middle of it."""
    setters = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
    found = [type(one).__name__ for one in keras.tree.flatten(callbacks) if isinstance(one, setters)]
    if found and optimizer is not None and not isinstance(optimizer.learning_rate, keras.Variable):
        raise ValueError(
            f"{found[0]}: the optimizer's learning rate is a schedule, which no callback can set; give it a number, or "
            "take kzoo.training.AdamW or SGD, whose schedule the callback scales"
        )


def _sides(images) -> tuple[int, ...]:
    """Height and width of images (B, H, W, 3); nothing of datasets of them."""
    return tuple(getattr(images, "shape", ())[1:3])


class DecodedModel(keras.Model):
    """Images in, decoded results out. It shares the weights of the model it reads for."""

    def __init__(self, model: ZooModel):
        super().__init__(name=f"{model.name}_decoded", dtype=model.dtype_policy)
        self.model = model
        self.built = True

    def call(self, images):
        return self.model.head.decode(self.model(images, training=False))


def images_input(sides: Sequence[int | None] = (None, None)):
    """The images that every network takes, and the same in 0..1.

    Args:
        sides: height and width in pixels, where the network is made for one size.

    Returns:
        A keras.Input of (B, H, W, 3) in 0..255, and its normalised tensor.
    """
    check_settings()
    inputs = keras.Input((*sides, 3), name="images")
    # In float32 whatever the policy: 255 grey levels do not survive half precision's rounding unharmed.
    return inputs, layers.Rescaling(1 / 255, dtype="float32", name="normalize")(inputs)


def check_arguments(
    num_classes: int, image_size: Sequence[int], names: Sequence[str] | None, multiple: int
) -> None:
    """Refuses what no architecture takes.

    Args:
        num_classes: how many.
        image_size: height and width in pixels.
        names: class names, or None.
        multiple: what the sides have to be multiples of.

    Raises:
        ValueError: the sides are not, or there are not as many names as classes; or Keras is set otherwise than it
            has to be.
    """
    check_settings()
    height, width = image_size
    if min(height, width) < multiple or height % multiple or width % multiple:
        raise ValueError(f"image_size={tuple(image_size)}: height and width must be multiples of {multiple}")
    if names and len(names) != num_classes:
        raise ValueError(f"names: {len(names)} names for num_classes={num_classes}; give one a class")


def backbone_layers(model: ZooModel) -> list:
    """The network's layers that belong to the backbone."""
    return [layer for layer in model.network.layers if layer.name.startswith("backbone_")]


def flops(model: ZooModel, image_size: Sequence[int] | None = None) -> int:
    """Floating-point operations of one image: two for each multiply-add of the layers' kernels, as Darknet counts.

    Args:
        model: any model of the zoo.
        image_size: height and width in pixels; the model's own where None.
    """
    height, width = image_size or model.image_size
    kernels = [layer for layer in model.network.layers if hasattr(layer, "kernel")]
    # A transposed convolution lays its kernel on every place of what goes in.
    places = [layer.input if isinstance(layer, layers.Conv2DTranspose) else layer.output for layer in kernels]
    probe = keras.Model(model.network.inputs, places + model.network.outputs)
    shapes = [tensor.shape for tensor in probe.compute_output_spec(keras.KerasTensor((1, height, width, 3)))]
    laid = list(zip(kernels, shapes, strict=False)) + model.head.kernels(shapes[len(kernels) :])
    return sum(
        # A kernel of four axes is laid on every place; others are a layer's whole.
        2 * math.prod(layer.kernel.shape) * (shape[1] * shape[2] if len(layer.kernel.shape) == 4 else 1)
        for layer, shape in laid
    )
