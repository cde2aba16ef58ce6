"""Training around `model.fit`: schedules, callbacks, run folders. Importing it imports no Keras."""

from __future__ import annotations

import importlib

_EXPORTS = {
    "AdamW": "rates",
    "Evaluation": "callbacks",
    "RunFolder": "run",
    "SGD": "rates",
    "TrainConfig": "config",
    "TrainResult": "running",
    "resume": "fitting",
    "train": "fitting",
}
__all__ = sorted(_EXPORTS)


def __getattr__(name: str):
    if name in _EXPORTS:
        value = getattr(importlib.import_module(f"kzoo.training.{_EXPORTS[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'kzoo.training' has no attribute {name!r}")
