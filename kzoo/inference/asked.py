"""What somebody asked for, against what a model takes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from kzoo.inference.decoded import BOX_TASKS
from kzoo.options import Option, refuse_idle
from kzoo.system.memory import check_batch

log = logging.getLogger("kzoo")


def batch_size_of(model, batch_size: int | None, default: int) -> int:
    """Images that a model gets at once; that an export takes another number than was asked for is logged.

    Args:
        model: a model or an exported file.
        batch_size: number of images that was asked for; None where nothing was.
        default: the number for a model that takes any, where nothing was asked for.

    Raises:
        ValueError: there is no memory for so many.
    """
    own = getattr(model, "batch_size", None)
    if own is not None and batch_size not in (None, own):
        name = getattr(model, "path", type(model).__name__)
        log.warning("%s: takes %d images at once, whatever batch_size says (%d)", name, own, batch_size)
    size = own or batch_size or default
    check_batch(size, model.image_size)
    return size


def refuse_idle_inference(model, table: Mapping[str, Option], options: Mapping[str, Any]) -> None:
    """Refuses options that have no effect with a model, or beside each other.

    Args:
        model: a model or an exported file.
        table: the declarations of these options, a table of `kzoo.options.commands`.
        options: the options that were asked for, by name; those that are None, False or empty were not.

    Raises:
        ValueError: one has no effect.
    """
    # Whole images are what detectors take in any case.
    asked = {name: None if value in ("resize", (), []) else value for name, value in options.items()}
    settings = {**asked, "method": asked.get("method") or "resize"}
    task = getattr(model, "task", "detect")
    # Of other tasks it is said elsewhere that nothing is found at all.
    refuse_idle(asked, table, settings.get, task if task in ("segment", *BOX_TASKS) else None)
