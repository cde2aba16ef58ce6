"""Annotated images, from files on disk to batches for `fit`. NumPy-side libraries only.

`formats` reads and writes files, `checks` looks for what is wrong with them, `painting` draws masks of outlines, and
`loading` makes batches; the files beside them are what all of these share: the dataset, its records, images.
Names are imported when they are first used.

Example:
    >>> dataset = kzoo.data.load("shapes:10:128")
    >>> images, targets = next(iter(kzoo.data.batches(dataset, image_size=128, batch_size=4)))
"""

from __future__ import annotations

import importlib

_EXPORTS = {
    "Dataset": "dataset",
    "Fault": "fault",
    "Record": "record",
    "Selection": "dataset",
    "Shapes": "formats.shapes",
    "batches": "loading.loader",
    "image_size": "image",
    "load": "opening",
    "read_image": "image",
    "sniff": "opening",
    "splits": "opening",
}
# What formats and steps are called, and where they are.
_MODULES = {
    "anchors": "anchors", "arrays": "formats.arrays", "batch": "loading.batch", "boxlist": "formats.boxlist.reading",
    "check": "checks.check", "coco": "formats.coco.reading", "convert": "formats.convert", "dataset": "dataset",
    "image": "image", "instances": "formats.masks.instances", "loader": "loading.loader",
    "masks": "formats.masks.reading", "report": "checks.report", "rle": "painting.rle", "shapes": "formats.shapes",
    "voc": "formats.voc.reading", "yolo": "formats.yolo.reading",
}  # fmt: skip
__all__ = sorted(_EXPORTS)


def __getattr__(name: str):
    if name in _EXPORTS:
        value = getattr(importlib.import_module(f"kzoo.data.{_EXPORTS[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"kzoo.data.{_MODULES[name]}")
    raise AttributeError(f"module 'kzoo.data' has no attribute {name!r}")
