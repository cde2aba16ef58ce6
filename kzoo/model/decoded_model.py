"""Images in, results out: what `predict` runs and exports hold."""

from __future__ import annotations

import keras


class DecodedModel(keras.Model):
    """Images in, decoded results out. It shares the weights of the model it reads for.

    Args:
        model: a `ZooModel`, whose head decodes what it gives.
    """

    def __init__(self, model: keras.Model):
        super().__init__(name=f"{model.name}_decoded", dtype=model.dtype_policy)
        self.autocast = model.autocast
        self.model = model
        self.built = True

    def call(self, images):
        return self.model.head.decode(self.model(images, training=False))
