"""Datasets as `fit`, `evaluate` and `predict` take them, looked at on their way."""

from __future__ import annotations

import contextlib
import itertools
import sys
import types
from collections.abc import Iterator

import keras
import numpy as np

from kzoo.structures.images import check_images, check_inputs, check_proposals, images_of
from kzoo.structures.targets import KEYS, check_keys, check_sample_weight, check_targets


class Look:
    """Refuses batches that cannot be meant so, and keeps why: out of a pipeline errors come wrapped in pages.

    Args:
        task: task of the model's head, such as "detect" or "segment".
        num_classes: number of classes of the model's head.
        targets: whether there have to be targets, as in training.
        proposals: whether there have to be proposals beside the images; either way where None.

    Attributes:
        error: what was refused first.
    """

    def __init__(self, task: str, num_classes: int, targets: bool = True, proposals: bool | None = None):
        self.task = task
        self.num_classes = num_classes
        self.targets = targets
        self.proposals = proposals
        self.error: ValueError | None = None

    def __call__(self, inputs, targets=None, weight=None, shape=None) -> None:
        """Looks at arrays, or tensors with values; at nothing of those without.

        Args:
            inputs: images (B, H, W, 3), or images and proposals (B, P, 4) by name; None where they are not looked at.
            targets: the batch's targets by name, as the task has them.
            weight: (B,) the weight of each image in the loss; None where all count 1.
            shape: (B, H, W, 3) as a tuple, where `inputs` is None.
        """
        try:
            if inputs is not None:
                shape = self._inputs(inputs) or shape
            if not self.targets or shape is None or self.task not in KEYS:
                return
            check_keys(self.task, targets)
            arrays = {name: as_array(values) for name, values in dict(targets).items()}
            if all(values is not None for values in arrays.values()):
                check_targets(self.task, arrays, self.num_classes, shape)
            weight = None if weight is None else as_array(weight)
            if weight is not None:
                check_sample_weight(weight, shape[0])
        except ValueError as error:
            self.error = self.error or error
            raise

    def _inputs(self, inputs) -> tuple | None:
        """Looks at what goes into the network; the shape of the images, if they have values."""
        if self.proposals is not None:
            check_inputs(inputs, self.proposals)
        images = as_array(images_of(inputs))
        if images is None:
            return None
        check_images(images)
        boxes = as_array(inputs["proposals"]) if self.proposals else None
        if boxes is not None:
            check_proposals(boxes, len(images))
        return images.shape

    def batch(self, batch, first: bool = True) -> None:
        """Looks at what a dataset yields: inputs, or (inputs, targets), or (inputs, targets, weights).

        Args:
            batch: one batch of a dataset, of arrays or tensors.
            first: whether its images are looked at, too, which takes longer.
        """
        inputs, targets, weight = keras.utils.unpack_x_y_sample_weight(batch)
        self(inputs if first else None, targets, weight, np.shape(images_of(inputs)))

    @contextlib.contextmanager
    def unwrapped(self) -> Iterator[None]:
        """In the block what was refused is raised in the place of what a pipeline wraps it in."""
        try:
            yield
        except Exception as error:
            if self.error is not None and self.error is not error:
                raise self.error from None
            raise


def as_array(values) -> np.ndarray | None:
    """Values as NumPy has them; None where there are none yet, as of symbolic tensors."""
    if isinstance(values, keras.KerasTensor):
        return None
    if not keras.ops.is_tensor(values):
        return np.asarray(values)
    try:
        return keras.ops.convert_to_numpy(values)
    except (NotImplementedError, TypeError, AttributeError, RuntimeError):
        return None
    except Exception as error:
        if "Tracer" in type(error).__name__:  # of JAX, which has no public name for it
            return None
        raise


def is_dataset(data) -> bool:
    """Whether it yields batches, rather than being the images themselves."""
    if isinstance(data, (np.ndarray, list, tuple, dict)) or keras.ops.is_tensor(data):
        return False
    return data is not None and not isinstance(data, keras.KerasTensor) and not hasattr(data, "__array__")


def as_stream(data, look: Look | None = None):
    """A dataset as Keras is to take it: the same batches, looked at on their way.

    Of a `tf.data.Dataset` and of generators the targets of every batch are looked at, and the images of each epoch's
    first; of others the first batch alone.

    On TensorFlow Grain's datasets become a `tf.data.Dataset` that tunes nothing. Keras makes one, too, but one that
    tunes itself. When such a one is closed, after each validation and at the end of the training, TensorFlow 2.21
    often waits for the tuner's next turn, and turns are twice as far apart each time: epochs of 11 seconds took up to
    21. There is nothing to tune, for Grain reads ahead by itself. Nor does Keras ask `kzoo.data.batches` for their
    length; a stream tells it.

    Args:
        data: the dataset that `fit` or `evaluate` is given.
        look: looks at its batches (see `Look`); where None, nothing is refused.
    """
    look = look or Look("", 0, targets=False)
    tensorflow, grain, torch = (sys.modules.get(name) for name in ("tensorflow", "grain", "torch"))
    if grain is not None and isinstance(data, grain.IterDataset):
        return _from_grain(data, look)
    if tensorflow is not None and isinstance(data, tensorflow.data.Dataset):
        return _watched(data, look)
    if isinstance(data, types.GeneratorType):
        return _looked_through(data, look)
    indexed = (keras.utils.PyDataset,) if grain is None else (keras.utils.PyDataset, grain.MapDataset)
    loaders = () if grain is None else (grain.DataLoader,)
    if torch is not None and hasattr(torch, "utils"):
        loaders = (*loaders, torch.utils.data.DataLoader)
    if isinstance(data, indexed):
        look.batch(data[0])
    elif isinstance(data, loaders):
        look.batch(next(iter(data)))
    return data


def _looked_through(batches, look):
    """The batches of an iterator, each looked at; of the first the images, too."""
    for number, batch in enumerate(batches):
        look.batch(batch, first=number == 0)
        yield batch


def _watched(dataset, look):
    """A `tf.data.Dataset` that looks at its own batches; of what is no plain tensor, at the names alone."""
    import tensorflow as tf

    spec = dataset.element_spec
    inputs, targets, weight = keras.utils.unpack_x_y_sample_weight(spec)
    if look.proposals is not None:
        check_inputs(inputs, look.proposals)
    images = images_of(inputs)
    if look.targets:
        check_keys(look.task, targets)
    ragged = [name for name, each in _named(targets) if isinstance(each, tf.RaggedTensorSpec)]
    if look.targets and ragged:
        raise ValueError(
            f"targets: {ragged[0]!r} is ragged; give one shape: .to_tensor(), labels of -1 where there are fewer"
        )
    if not isinstance(images, tf.TensorSpec) or not all(
        isinstance(each, tf.TensorSpec) for each in tf.nest.flatten(spec)
    ):
        return dataset
    names = [name for name, _ in _named(targets)]

    # TensorFlow's graph hands arrays over one by one: the targets in the order of their names, then the weights.
    def later(shape, *arrays, inputs=None):
        values = dict(zip(names, arrays, strict=False)) if names else None
        look(inputs, values, arrays[len(names)] if weight is not None else None, tuple(shape))
        return np.True_

    # What goes in: the images, or what there is beside them, too, in the order of its names.
    parts = [name for name, _ in _named(inputs)]

    def first(shape, *arrays):
        count = max(1, len(parts))
        inputs = dict(zip(parts, arrays[:count], strict=True)) if parts else arrays[0]
        return later(shape, *arrays[count:], inputs=inputs)

    def attach(number, batch):
        inputs, targets, weight = keras.utils.unpack_x_y_sample_weight(batch)
        others = [value for _, value in _named(targets)] + ([] if weight is None else [weight])
        shape = tf.shape(images_of(inputs))
        given = [value for _, value in _named(inputs)] or [inputs]
        seen = tf.cond(
            number == 0,
            lambda: tf.numpy_function(first, [shape, *given, *others], tf.bool),
            lambda: tf.numpy_function(later, [shape, *others], tf.bool) if others else True,
        )
        # Nothing uses the result of the look; without this a graph would leave it out.
        with tf.control_dependencies([seen]):
            return tf.nest.map_structure(tf.identity, batch)

    return dataset.enumerate().map(attach)


def _named(targets) -> list[tuple]:
    """Names and values of targets that are a mapping; nothing of others."""
    return list(targets.items()) if hasattr(targets, "items") else []


def _from_grain(data, look):
    """A Grain dataset whose first batch has been looked at; on TensorFlow as a `tf.data.Dataset`."""
    from kzoo.data.loading.passes import Batches

    ours = isinstance(data, Batches)
    epoch = data.epoch if ours else None
    on_tensorflow = keras.backend.backend() == "tensorflow"
    # Two, because sides in which they differ are sides that vary: `kzoo.data` takes care that the first two do.
    seen = list(itertools.islice(data, 2 if on_tensorflow else 1))
    if ours:
        data.epoch = epoch  # this look, were it at a whole epoch, has trained nothing
    if seen:
        look.batch(seen[0])
    if not seen or not on_tensorflow:
        return data
    import tensorflow as tf

    stream = tf.data.Dataset.from_generator(
        # Batches of `kzoo.data` were checked where they were made.
        (lambda: data) if ours else (lambda: _looked_through(data, look)),
        output_signature=keras.tree.map_structure(_signature, seen[0], seen[-1]),
    )
    if ours and not data.repeat:
        stream = stream.apply(tf.data.experimental.assert_cardinality(len(data)))
    options = tf.data.Options()
    options.autotune.enabled = False
    # Of several machines each makes all batches, and takes its part of each.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return stream.with_options(options)


def _signature(one, other):
    """Any number of samples, of the sides that two batches share."""
    import tensorflow as tf

    sides = [a if a == b else None for a, b in zip(one.shape[1:], other.shape[1:], strict=True)]
    return tf.TensorSpec((None, *sides), one.dtype)
