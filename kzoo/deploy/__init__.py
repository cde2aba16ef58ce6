"""Exported files: writing them, opening them, timing them."""

from __future__ import annotations

from kzoo.deploy.runtime import Exported, open_export
from kzoo.deploy.writing import export

__all__ = ["Exported", "export", "open_export"]
