"""Models of full size for tests that only count: without half a gigabyte of initial values."""

from contextlib import contextmanager

import keras


@contextmanager
def shapes_only():
    """Within it, models are built whose variables have shapes and no values.

    Example:
        >>> with shapes_only():
        ...     model = kzoo.build("vgg16")
        >>> model.count_params()
    """
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        keras.backend.clear_session()  # or the next such scope would draw the values at its end
