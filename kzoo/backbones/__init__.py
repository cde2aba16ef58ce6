"""Backbones: from images to a list of feature maps."""

from kzoo.system.lazy import submodules

__getattr__ = submodules(__name__, __path__)
