"""Keras's global settings, as far as kzoo depends on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

_NEEDED = (
    (
        "image_data_format", "channels_last",
        "images are (B, H, W, 3) here; call keras.config.set_image_data_format('channels_last') first",
    ),
    (
        "floatx", "float32",
        "kzoo counts in float32; call keras.config.set_floatx('float32'), and for half precision "
        "keras.config.set_dtype_policy('mixed_bfloat16') or 'mixed_float16'",
    ),
)  # fmt: skip


def check_settings() -> None:
    """Refuses global settings of Keras under which no model of kzoo is what it should be.

    Raises:
        ValueError: images have their channels first, or numbers are not float32 by default.
    """
    for name, wanted, remedy in _NEEDED:
        value = getattr(keras.config, name)()
        if value != wanted:
            raise ValueError(f"keras.config.{name}() is {value!r}: {remedy}")


@contextlib.contextmanager
def dtype_policy(policy) -> Iterator[None]:
    """For the time of the block layers are made under a policy, whatever the global one is.

    Args:
        policy: a name such as "float32" or "mixed_bfloat16", a `keras.DTypePolicy`, or one serialised.
    """
    outside = keras.config.dtype_policy()
    keras.config.set_dtype_policy(keras.dtype_policies.get(policy))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(outside)
