"""Many operations on the same numbers in one loop over them."""

from __future__ import annotations

import keras

FEW = 1 << 16  # numbers up to which a loop saves less than it takes to compile


def in_one_loop(function, tensors, count: int):
    """What a function makes of tensors, without a pass through memory for each of its operations.

    JAX compiles whole steps by itself. TensorFlow is asked to compile this part: a sixth of the time for overlaps of
    all objects with all points. Outside of its graphs, where it would compile anew at every call, and on torch the
    function is called as it is.

    Args:
        function: tensors to tensors, of elementwise operations and gathers, through which no gradient goes.
        tensors: what it is called with.
        count: numbers that it makes of an image.
    """
    if keras.backend.backend() != "tensorflow" or count < FEW:
        return function(*tensors)
    import tensorflow as tf

    if not tf.inside_function():
        return function(*tensors)
    return tf.function(function, jit_compile=True, autograph=False)(*tensors)
