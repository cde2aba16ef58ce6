"""Self-adversarial training: the network first alters the picture so as to miss what is on it, then learns from it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import keras

from kzoo.model import ZooModel
from kzoo.structures.images import images_of
from kzoo.training.optimizers import batches_seen


class Adversary:
    """Alters batches along the gradient of the model's own loss.

    It does so within the training step: with the weights of that very step, and by chance that follows from the seed
    and the number of the step alone. So the same seed gives the same training, cut and resumed or not.

    Args:
        model: the compiled model that trains; altering batches changes none of its weights.
        share: share of the batches that are altered, 0 to 1.
        step: grey levels that each pixel moves by, up or down; 8 by default.
        seed: seed of the choice of these batches, 0 by default.

    Raises:
        ValueError: the backend is not TensorFlow, or the share is no share.

    Source: Bochkovskiy et al. 2020, YOLOv4, arXiv:2004.10934, section 3.3; the step by the gradient's sign is
    Goodfellow et al. 2014, arXiv:1412.6572, section 4.

    Example:
        >>> with Adversary(model, 0.5).at_work():
        ...     model.fit(batches)
    """

    def __init__(self, model: ZooModel, share: float, step: float = 8.0, seed: int = 0):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"sat={share}: self-adversarial training runs on TensorFlow alone, not on {keras.backend.backend()}; "
                "leave it out, or set KERAS_BACKEND=tensorflow"
            )
        if not 0 <= share <= 1:
            raise ValueError(f"sat={share}: give a share from 0 to 1")
        self.model, self.share, self.step, self.seed = model, share, step, seed

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """For the time of the block the model's training steps are on altered batches."""
        plain = self.model.train_step

        def train_step(data):
            inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
            altered = self.sometimes_altered(inputs, targets, batches_seen(self.model.optimizer))
            inputs = _with_images(inputs, altered)
            return plain(keras.utils.pack_x_y_sample_weight(inputs, targets, weights))

        self.model.train_step, self.model.train_function = train_step, None
        try:
            yield
        finally:
            del self.model.train_step
            self.model.train_function = None

    def sometimes_altered(self, inputs, targets, number):
        """The images (B, H, W, 3) of the batch of that number, altered or not; `inputs` as the network takes them."""
        import tensorflow as tf

        # Drawn from seed and number alone, without a generator's state, so that a resumed training draws the same.
        number = tf.cast(keras.ops.convert_to_tensor(number), "int32")
        drawn = tf.random.stateless_uniform((), seed=tf.stack([tf.constant(self.seed % 2**31), number]))
        return tf.cond(drawn < self.share, lambda: self.altered(inputs, targets), lambda: images_of(inputs))

    def altered(self, inputs, targets):
        """Images (B, H, W, 3) of which the loss is higher, in their own type."""
        import tensorflow as tf

        images = images_of(inputs)
        seen = tf.cast(images, "float32")  # (B, H, W, 3): no gradient reaches integers
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(seen)
            losses = self.model.head.loss(targets, self.model(_with_images(inputs, seen), training=False))
            total = tf.add_n([tf.cast(loss, "float32") for loss in losses.values()])
        moved = seen + self.step * tf.sign(tape.gradient(total, seen))  # up the loss, all pixels equally far
        return tf.cast(tf.clip_by_value(tf.round(moved), 0.0, 255.0), images.dtype)


def _with_images(inputs, images):
    """What the network takes, with other images."""
    return {**inputs, "images": images} if isinstance(inputs, Mapping) else images
