"""Self-adversarial training: the network first alters the picture so as to miss what is on it, then learns from it."""

from __future__ import annotations

import threading

import keras
import numpy as np

from kzoo.model import ZooModel


class Adversary:
    """Alters batches along the gradient of the model's own loss.

    Args:
        model: as it is while it trains; its weights stay.
        share: of the batches that are altered, from 0 to 1.
        step: grey levels that each pixel moves by, up or down.
        seed: of which batches.

    Raises:
        ValueError: the backend is not TensorFlow, or the share is no share.

    Source: Bochkovskiy et al. 2020, YOLOv4, arXiv:2004.10934, section 3.3; the step by the gradient's sign is
    Goodfellow et al. 2014, arXiv:1412.6572, section 4.
    """

    def __init__(self, model: ZooModel, share: float, step: float = 8.0, seed: int = 0):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"sat={share}: self-adversarial training runs on TensorFlow alone, not on {keras.backend.backend()}; "
                "leave it out, or set KERAS_BACKEND=tensorflow"
            )
        if not 0 <= share <= 1:
            raise ValueError(f"sat={share}: give a share from 0 to 1")
        self.share, self.step = share, step
        self._rng, self._lock = np.random.default_rng(seed), threading.Lock()
        self._gradient = _gradient_function(model)

    def __call__(self, batch):
        """The batch (images (B, H, W, 3) uint8, targets), its images altered or not."""
        images, targets = batch
        with self._lock:
            chosen = self._rng.random() < self.share
        if not chosen:
            return batch
        gradient = np.asarray(self._gradient(images, targets))
        altered = images.astype(np.float32) + self.step * np.sign(gradient)
        return np.clip(np.rint(altered), 0, 255).astype(np.uint8), targets


def _gradient_function(model: ZooModel):
    """A function from images and targets to the gradient of the loss by the images, (B, H, W, 3)."""
    import tensorflow as tf

    @tf.function(autograph=False, reduce_retracing=True)
    def gradient(images, targets):
        images = tf.cast(images, "float32")
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            losses = model.head.loss(targets, model(images, training=False))
            total = tf.add_n([tf.cast(loss, "float32") for loss in losses.values()])
        return tape.gradient(total, images)

    return gradient
