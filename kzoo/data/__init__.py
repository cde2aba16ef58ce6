"""Annotated images: readers, writers, checks, batches. NumPy-side libraries only."""

from __future__ import annotations

import importlib
from pathlib import Path

_EXPORTS = {
    "Dataset": "dataset",
    "Fault": "dataset",
    "Record": "dataset",
    "Selection": "dataset",
    "Shapes": "shapes",
    "batches": "loader",
    "image_size": "image",
    "read_image": "image",
}
_MODULES = frozenset(
    "anchors batch check coco convert dataset image loader report rle shapes voc yolo".split()  # noqa: SIM905
)
__all__ = ["load", "splits", *sorted(_EXPORTS)]


def __getattr__(name: str):
    if name in _EXPORTS:
        value = getattr(importlib.import_module(f"kzoo.data.{_EXPORTS[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"kzoo.data.{name}")
    raise AttributeError(f"module 'kzoo.data' has no attribute {name!r}")


def load(path: str | Path, split: str | None = None, masks: bool = False):
    """Opens a dataset, telling its format by looking.

    Args:
        path: a Pascal VOC folder; a YOLO `data.yaml`, a Darknet `.data` file or the folder of one; a COCO
            `.json` or the folder of some; "shapes" or "shapes:COUNT" for synthetic images.
        split: "train", "val", "test" or what the dataset calls it; all images where None.
        masks: whether samples carry instance masks, where the dataset has them.

    Returns:
        A `kzoo.data.Dataset`: `len(dataset)`, `dataset[i]` (a `Sample`), `dataset.record(i)`,
        `dataset.classes`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: no known format, or no such split; the message lists those there are.

    Example:
        >>> sample = kzoo.data.load("VOCdevkit/VOC2012", split="train")[0]
    """
    kind = sniff(path)
    if kind == "shapes":
        from kzoo.data.shapes import from_name

        return from_name(str(path), split, masks)
    path = Path(path)
    if kind == "voc":
        from kzoo.data.voc import VOC

        return VOC(path, split)
    if kind == "yolo":
        from kzoo.data.yolo import YOLO

        return YOLO(path, split, masks)
    from kzoo.data.coco import COCO

    return COCO(path, split, masks)


def splits(path: str | Path) -> list[str]:
    """Names of the parts a dataset is divided in, train, val and test first; none where it is not divided."""
    kind = sniff(path)
    return list(importlib.import_module(f"kzoo.data.{kind}").splits(Path(path)))


def sniff(path: str | Path) -> str:
    """The format of what lies at `path`: "voc", "yolo", "coco" or "shapes".

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: no known format.
    """
    name, path = str(path), Path(path)
    if (name == "shapes" or name.startswith("shapes:")) and not path.exists():
        return "shapes"
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such dataset; give a folder, a .yaml, .data or .json file, or shapes"
        )
    for kind in ("voc", "yolo", "coco"):
        if getattr(importlib.import_module(f"kzoo.data.{kind}"), f"is_{kind}")(path):
            return kind
    raise ValueError(
        f"{path}: no dataset found there; known are Pascal VOC (Annotations/ and JPEGImages/), "
        "YOLO (a data.yaml or .data file) and COCO (a .json file, or annotations/*.json)"
    )
