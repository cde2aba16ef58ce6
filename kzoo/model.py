"""The one model class: a network that sees images, and a head that knows what its outputs mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import keras
from keras import layers, ops

from kzoo.heads import Head


@keras.saving.register_keras_serializable("kzoo")
class ZooModel(keras.Model):
    """A trainable model that predicts results rather than raw numbers.

    Args:
        network: a functional model from images (B, H, W, 3) in 0..255 to a list of feature maps, with the
            normalisation inside.
        head: raw outputs, loss and decoding.
        image_size: height and width in pixels that `detect`, `evaluate` and exports use.
        names: class names, in the order of the labels.

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
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.network, self.head = network, head
        self.image_size = tuple(int(v) for v in image_size)
        self.names = list(names or ())
        self.loss_means = {name: keras.metrics.Mean(name=f"{name}_loss") for name in head.loss_names}
        self.build()

    @property
    def task(self) -> str:
        """ "detect", "segment", "instance" or "classify"."""
        return self.head.task

    def build(self, input_shape=None):
        if not self.head.built:
            self.head.build([feature.shape for feature in self.network.outputs])
        self.built = True

    def call(self, images, training=None):
        features = self.network(images, training=training)
        return self.head(features if isinstance(features, (list, tuple)) else [features], training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        losses = self.head.loss(y, y_pred)
        count = ops.shape(keras.tree.flatten(y)[0])[0]
        for name, value in losses.items():
            self.loss_means[name].update_state(value, sample_weight=count)
        # TensorFlow adds up the gradients of its replicas.
        replicas = getattr(getattr(self, "distribute_strategy", None), "num_replicas_in_sync", 1)
        return (sum(losses.values()) + sum(self.losses)) / replicas

    def decoder(self) -> DecodedModel:
        """A model from images to decoded results, which `predict` runs and exports hold."""
        # A closure, past Keras's attribute tracking: as a sublayer it would be saved with the model.
        if "_get_decoder" not in self.__dict__:
            decoded = DecodedModel(self)
            self.__dict__["_get_decoder"] = lambda: decoded
        return self.__dict__["_get_decoder"]()

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
            (B, M), -1 where there is no detection; for a classifier `scores` (B, classes) and `label` (B,).
        """
        return self.decoder().predict(x, batch_size, verbose, steps, callbacks)

    def predict_on_batch(self, x) -> dict:
        """Decoded results for one batch of images, as NumPy arrays; `predict` without its bookkeeping."""
        return self.decoder().predict_on_batch(x)

    def detect(self, source, **arguments):
        """Finds objects in a photograph: see `kzoo.detect.detect`."""
        from kzoo.detect import detect

        return detect(self, source, **arguments)

    def get_config(self):
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "head": keras.saving.serialize_keras_object(self.head),
            "image_size": list(self.image_size),
            "names": list(self.names),
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        outside = keras.config.dtype_policy()
        # A functional model does not keep its own policy; it takes the one that is set.
        keras.config.set_dtype_policy(keras.saving.deserialize_keras_object(config["dtype"]))
        try:
            parts = {
                key: keras.saving.deserialize_keras_object(config[key], custom_objects)
                for key in ("network", "head")
            }
            return cls(**{**config, **parts, "dtype": None})
        finally:
            keras.config.set_dtype_policy(outside)


class DecodedModel(keras.Model):
    """Images in, decoded results out. It shares the weights of the model it reads for."""

    def __init__(self, model: ZooModel):
        super().__init__(name=f"{model.name}_decoded")
        self.model = model
        self.built = True

    def call(self, images):
        return self.model.head.decode(self.model(images, training=False))


def images_input():
    """The images that every network takes, and the same in 0..1.

    Returns:
        A keras.Input of (B, H, W, 3) in 0..255, and its normalised tensor.
    """
    inputs = keras.Input((None, None, 3), name="images")
    # In float32 whatever the policy: 255 grey levels do not survive half precision's rounding unharmed.
    return inputs, layers.Rescaling(1 / 255, dtype="float32", name="normalize")(inputs)


def load_weights(model: ZooModel, weights: str | Path | None) -> ZooModel:
    """The model with the weights of a file, or as it was where there is none.

    Args:
        model: of the same architecture and number of classes.
        weights: a `.keras` or `.weights.h5` file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file does not hold weights of this model.
    """
    if weights is None:
        return model
    path = _weights_file(weights)
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{path}: does not hold weights of {model.name} with {model.head.num_classes} classes; "
            f"build it with the classes, width and depth it was trained with ({reason})"
        ) from error
    return model


def load_backbone(model: ZooModel, weights: str | Path | None) -> ZooModel:
    """Copies the backbone's weights from another model's file: layers named `backbone_...`, by name.

    Args:
        model: takes the weights.
        weights: a `.keras` file of a model with the same backbone, or None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the backbones differ; the layer is named.
    """
    if weights is None:
        return model
    path = _weights_file(weights)
    source = {layer.name: layer for layer in keras.saving.load_model(path, compile=False).network.layers}
    for layer in backbone_layers(model):
        if not layer.weights:
            continue
        given = source[layer.name].get_weights() if layer.name in source else []
        shapes, wanted = [w.shape for w in given], [tuple(w.shape) for w in layer.weights]
        if shapes != wanted:
            raise ValueError(
                f"{path}: layer {layer.name} has weights {shapes}, {model.name} wants {wanted}; "
                "use a classifier of the same backbone, width and depth"
            )
        layer.set_weights(given)
    return model


def backbone_layers(model: ZooModel) -> list:
    """The network's layers that belong to the backbone."""
    return [layer for layer in model.network.layers if layer.name.startswith("backbone_")]


def _weights_file(weights: str | Path) -> Path:
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file; give a .keras or .weights.h5 file")
    if path.suffix not in (".keras", ".h5"):
        raise ValueError(
            f"{path}: weights of format {path.suffix!r} are not read; give a .keras or .weights.h5 file"
        )
    return path


def flops(model: ZooModel, image_size: Sequence[int] | None = None) -> int:
    """Floating-point operations of one image: two for each multiply-add of the convolutions, as Darknet counts.

    Args:
        model: any model of the zoo.
        image_size: height and width in pixels; the model's own where None.
    """
    height, width = image_size or model.image_size
    convs = [layer for layer in model.network.layers if isinstance(layer, layers.Conv2D)]
    probe = keras.Model(model.network.inputs, [layer.output for layer in convs] + model.network.outputs)
    shapes = [tensor.shape for tensor in probe.compute_output_spec(keras.KerasTensor((1, height, width, 3)))]
    total = sum(
        2 * math.prod(layer.kernel.shape) * shape[1] * shape[2]
        for layer, shape in zip(convs, shapes, strict=False)
    )
    for layer, shape in zip(_head_layers(model.head), shapes[len(convs) :], strict=False):
        positions = shape[1] * shape[2] if isinstance(layer, layers.Conv2D) else 1
        total += 2 * math.prod(layer.kernel.shape) * positions
    return total


def _head_layers(head: Head) -> list:
    return [layer for layer in head._flatten_layers() if isinstance(layer, (layers.Conv2D, layers.Dense))]
