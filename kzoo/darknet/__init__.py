"""Darknet's files in and out: `.cfg`, `.weights`, `.names`.

Names are imported when they are first used, so that reading a cfg file starts no Keras.
"""

import importlib

_EXPORTS = dict.fromkeys(("folded", "load", "read_weights", "save"), "kzoo.darknet.importing")
__all__ = [*_EXPORTS]


def __getattr__(name: str):
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'kzoo.darknet' has no attribute {name!r}")
