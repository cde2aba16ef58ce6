"""Architectures: functions that join a backbone, a neck and a head."""

from kzoo.system.lazy import submodules

__getattr__ = submodules(__name__, __path__)
