"""Grain's datasets as TensorFlow's `fit` takes them."""

from __future__ import annotations

import itertools
import sys

import keras


def as_stream(data):
    """On TensorFlow a `tf.data.Dataset` that tunes nothing, of a Grain dataset; anything else as it is.

    Keras makes a `tf.data.Dataset` of a Grain dataset, too, but one that tunes itself. When such a one is closed,
    after each validation and at the end of the training, TensorFlow 2.21 often waits for the tuner's next turn, and
    turns are twice as far apart each time: epochs of 11 seconds took up to 21. There is nothing to tune, for Grain
    reads ahead by itself. Nor does Keras ask `kzoo.data.batches` for their length; a stream tells it.

    Args:
        data: what `fit` or `evaluate` is given.
    """
    grain = sys.modules.get("grain")
    if keras.backend.backend() != "tensorflow" or grain is None or not isinstance(data, grain.IterDataset):
        return data
    import tensorflow as tf

    from kzoo.data.passes import Batches

    epoch = data.epoch if isinstance(data, Batches) else None
    seen = list(itertools.islice(data, 2))
    if not seen:
        return data
    stream = tf.data.Dataset.from_generator(
        lambda: data, output_signature=keras.tree.map_structure(_signature, seen[0], seen[-1])
    )
    if isinstance(data, Batches):
        data.epoch = epoch  # this look, were it at a whole epoch, has trained nothing
        if not data.repeat:
            stream = stream.apply(tf.data.experimental.assert_cardinality(len(data)))
    options = tf.data.Options()
    options.autotune.enabled = False
    return stream.with_options(options)


def _signature(one, other):
    """Any number of samples, of the sides that two batches share."""
    import tensorflow as tf

    sides = [a if a == b else None for a, b in zip(one.shape[1:], other.shape[1:], strict=True)]
    return tf.TensorSpec((None, *sides), one.dtype)
