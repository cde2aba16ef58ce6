"""Exported files: writing them, opening them, timing them."""

from __future__ import annotations

from kzoo.deploy.opening import open_export
from kzoo.deploy.runtime import Exported
from kzoo.deploy.writing import export

__all__ = ["Exported", "export", "open_export"]
