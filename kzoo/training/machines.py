"""Several machines that train one model, each by a process of its own, as TensorFlow's TF_CONFIG names them."""

from __future__ import annotations

import functools
import json
import os

import keras
import numpy as np

_MOST_BYTES = 2**16  # of what the first machine tells the others


def several() -> bool:
    """Whether TF_CONFIG names several machines."""
    return len(_workers()) > 1


def is_first() -> bool:
    """Whether this process is the one that writes the run folder and measures: the chief, or the first worker."""
    task = _configuration().get("task", {})
    return not several() or (task.get("type"), task.get("index")) == _workers()[0]


def _workers() -> list[tuple[str, int]]:
    """Type and number of each process that trains, the first one's first."""
    cluster = _configuration().get("cluster", {})
    return [(kind, index) for kind in ("chief", "worker") for index in range(len(cluster.get(kind, ())))]


def _configuration() -> dict:
    """What TF_CONFIG says; nothing where it is not set.

    Raises:
        ValueError: it is no JSON with a cluster and a task.
    """
    text = os.environ.get("TF_CONFIG", "")
    try:
        read = json.loads(text) if text else {}
    except ValueError:
        read = None
    if not isinstance(read, dict) or (read and not {"cluster", "task"} <= set(read)):
        raise ValueError(
            f"TF_CONFIG={text[:80]!r}: give JSON with cluster and task, such as "
            '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
        )
    return read


@functools.cache
def strategy():
    """TensorFlow's strategy for all machines; None where there is one. It has to be made before anything is computed.

    Raises:
        ValueError: TF_CONFIG cannot be read, or is set on another backend.
    """
    if not several():
        return None
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"TF_CONFIG: several machines train on TensorFlow alone, not on {keras.backend.backend()}; unset it, or "
            "set KERAS_BACKEND=tensorflow"
        )
    import tensorflow as tf

    return tf.distribute.MultiWorkerMirroredStrategy()


def told(value):
    """What the first machine says, on all of them, which wait for it: plain data, as JSON holds it.

    Args:
        value: what is said; of the first machine alone it counts.
    """
    across = strategy()
    if across is None:
        return value
    message = np.zeros(_MOST_BYTES, np.int32)
    if is_first():
        written = np.frombuffer(json.dumps(value).encode(), np.uint8)
        message[: len(written)] = written
    silence = np.zeros_like(message)
    # One device of the first machine speaks, all others add zeros.
    spoken = across.experimental_distribute_values_from_function(
        lambda context: silence if context.replica_id_in_sync_group else message
    )
    heard = np.asarray(across.reduce("SUM", spoken, axis=None), np.uint8)
    return json.loads(heard.tobytes().rstrip(b"\0").decode())
