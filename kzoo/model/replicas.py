"""What devices that share a batch tell each other, so that the loss is that of the whole batch."""

from __future__ import annotations

import keras


def replica_count() -> int:
    """Number of devices that share the batch which is computed here; 1 on backends whose tensors are whole batches."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def gathered(values):
    """Tensors of the whole batch, where each device has a part of it.

    Every device computes the same loss of the whole batch, and adds one part in so many as there are devices to the
    sum. What flows back to a device's images is what flows back from all these parts: so many times its own.

    Args:
        values: tensors (b, ...) of this device's images, in whatever nesting; what is no tensor stays as it is.

    Returns:
        The same nesting of tensors (B, ...), the devices' parts in their order.
    """
    import tensorflow as tf

    context = tf.distribute.get_replica_context()

    def whole_of(part):
        # Across machines TensorFlow goes by where a tensor says that it is; it says nothing on a machine's only device.
        with tf.device(tf.identity(part).device or context.strategy.extended.worker_devices[0]):
            return context.all_gather(tf.identity(part), axis=0)

    count = tf.shape(next(one for one in keras.tree.flatten(values) if tf.is_tensor(one)))[:1]  # (1,)
    counts = whole_of(count)  # (devices,)
    start = tf.reduce_sum(counts[: context.replica_id_in_sync_group])
    end = start + count[0]

    @tf.custom_gradient
    def joined(part):
        # Truth values and bytes are not sent by every means of communication.
        sent = part if part.dtype.is_floating or part.dtype == tf.int32 else tf.cast(part, tf.int32)
        whole = tf.cast(whole_of(sent), part.dtype)  # (B, ...)

        def gradient(upstream):
            return context.num_replicas_in_sync * upstream[start:end]  # (b, ...)

        return tf.ensure_shape(whole, (None, *part.shape[1:])), gradient

    return keras.tree.map_structure(lambda one: joined(one) if tf.is_tensor(one) else one, values)


def figures_of_devices(figures):
    """What a step tells, as Keras can take the mean of it: across machines it does so along a first axis.

    Args:
        figures: scalars of this device by name.

    Returns:
        The same, (1,) each where several machines share the batch.
    """
    if replica_count() == 1:
        return figures
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if len(strategy.extended.worker_devices) == strategy.num_replicas_in_sync:  # one machine has them all
        return figures
    return {name: tf.reshape(value, (1,)) for name, value in figures.items()}
