"""Layers that Keras has not; each module has its own."""

from kzoo.system.lazy import submodules

__getattr__ = submodules(__name__, __path__)
