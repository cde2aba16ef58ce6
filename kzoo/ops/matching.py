"""The assignment of objects to queries that costs least, one to one."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops
from scipy.optimize import linear_sum_assignment

_BEYOND = (
    1e9  # what stands for costs that are no finite number, as of a step that half precision did not bear
)


def cheapest_pairs(cost, there):
    """Each object gets a query, no two the same, so that the costs of all objects together are the least possible.

    All problems are solved on the host, in one call, by scipy; of several solutions that cost the same it is scipy's.
    Objects that are padding are left out there. Where there are more objects than queries, every query gets an object,
    and the objects that would add most are without a query.

    Args:
        cost: (G, Q, M) float, of each of G problems what each query would cost for each object; no gradient passes.
        there: (G, M) bool, which objects there are.

    Returns:
        (G, Q) int32, the object of each query, -1 for none.

    Source: Kuhn 1955, The Hungarian Method; scipy's `linear_sum_assignment`, after Crouse 2016,
        10.1109/TAES.2016.140952.
    """
    cost = ops.stop_gradient(ops.cast(cost, "float32"))
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        found = tf.numpy_function(solved, [cost, there], tf.int32, stateful=False)
        found.set_shape(cost.shape[:2])
        return found
    if backend == "jax":
        import jax

        return jax.pure_callback(solved, jax.ShapeDtypeStruct(cost.shape[:2], "int32"), cost, there)
    return ops.convert_to_tensor(solved(*(ops.convert_to_numpy(each) for each in (cost, there))))


def solved(cost, there) -> np.ndarray:
    """As `cheapest_pairs`, of arrays."""
    cost, there = np.asarray(cost), np.asarray(there)
    cost = np.nan_to_num(cost, nan=_BEYOND, posinf=_BEYOND, neginf=-_BEYOND)
    owner = np.full(cost.shape[:2], -1, np.int32)
    for own, costs, objects in zip(owner, cost, there, strict=True):
        (numbers,) = np.nonzero(objects)
        queries, columns = linear_sum_assignment(costs[:, numbers])
        own[queries] = numbers[columns]
    return owner
