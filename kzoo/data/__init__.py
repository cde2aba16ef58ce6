"""Annotated images: readers, writers, checks, batches. NumPy-side libraries only."""

from __future__ import annotations

import importlib
from pathlib import Path

from kzoo.files import refuse_address
from kzoo.options import Place

_EXPORTS = {
    "Dataset": "dataset",
    "Fault": "fault",
    "Record": "dataset",
    "Selection": "dataset",
    "Shapes": "shapes",
    "batches": "loader",
    "image_size": "image",
    "read_image": "image",
}
_MODULES = frozenset({
    "anchors", "arrays", "batch", "boxlist", "check", "coco", "convert", "dataset", "image", "instances", "loader",
    "masks", "report", "rle", "shapes", "voc", "yolo",
})  # fmt: skip
__all__ = ["load", "splits", *sorted(_EXPORTS)]


def __getattr__(name: str):
    if name in _EXPORTS:
        value = getattr(importlib.import_module(f"kzoo.data.{_EXPORTS[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"kzoo.data.{name}")
    raise AttributeError(f"module 'kzoo.data' has no attribute {name!r}")


def load(
    path: str | Path,
    split: str | None = None,
    masks: bool = False,
    task: str | None = None,
    bits: int | None = None,
):
    """Opens a dataset, telling its format by looking.

    Args:
        path: a Pascal VOC folder; a YOLO `data.yaml`, a Darknet `.data` file or the folder of one, or one of images,
            label files and `classes.txt`; a COCO `.json` or the folder of some; a `.csv` of boxes, lines of
            keras-yolo3, or the folder of such; a folder with `images/` and `masks/`; a folder of folders with an image
            and its objects' masks each; a folder of `.npy` arrays; "shapes" or "shapes:COUNT" for synthetic
            images.
        split: "train", "val", "test" or what the dataset calls it; all images where None.
        masks: whether samples carry instance masks, where the dataset has them.
        task: "detect" for boxes, "segment" for semantic masks; where None what the format is for: boxes, or masks
            where it has none.
        bits: how many bits of its 16-bit images are in use, as `kzoo.data.read_image` takes it: 12 where levels go
            from 0 to 4095; all where None.

    Returns:
        A `kzoo.data.Dataset`: `len(dataset)`, `dataset[i]` (a `Sample`), `dataset.record(i)`,
        `dataset.classes`; `dataset.semantic` tells whether it is one of semantic masks.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: no known format, no such split, or nothing for the task; the message lists what there is.

    Example:
        >>> sample = kzoo.data.load("VOCdevkit/VOC2012", split="train", task="segment")[0]
    """
    if task not in (None, "detect", "segment"):
        raise ValueError(f"{path}: task {task!r}; give detect or segment")
    dataset = _opened(path, split, masks, task)
    if bits is not None:
        from kzoo.data.image import check_bits

        check_bits(bits)
        if not dataset.files:
            raise ValueError(
                f"{path}: bits={bits} is for image files, and this dataset has none; leave it out"
            )
        dataset.bits = bits
    return dataset


def _opened(path: str | Path, split: str | None, masks: bool, task: str | None):
    kind = sniff(path, task)
    module = importlib.import_module(f"kzoo.data.{kind}")
    if kind == "shapes":
        return module.from_name(str(path), split, masks, task or "detect")
    path = Path(path)
    if kind == "instances":
        return module.Instances(path, split, masks, task=task or "segment")
    if task == "detect" and (kind in ("masks", "arrays") or (kind == "voc" and not module.has_boxes(path))):
        raise ValueError(f"{path}: semantic masks and no boxes; open it with task='segment'")
    if kind in ("masks", "arrays"):
        return (module.Masks if kind == "masks" else module.Arrays)(path, split)
    if kind == "voc" and (task == "segment" or not module.has_boxes(path)):
        from kzoo.data.voc_masks import VOCMasks

        return VOCMasks(path, split, masks)
    if kind == "voc":
        return module.VOC(path, split)
    reader = {"yolo": "YOLO", "coco": "COCO", "boxlist": "BoxList"}[kind]
    dataset = getattr(module, reader)(path, split, masks)
    if task == "segment":
        from kzoo.data.rasterise import Rasterised

        return Rasterised(dataset)
    return dataset


def splits(path: str | Path, task: str | None = None) -> list[str]:
    """Names of the parts a dataset is divided in, train, val and test first; none where it is not divided."""
    kind = sniff(path, task)
    module = importlib.import_module(f"kzoo.data.{kind}")
    if kind == "voc" and (task == "segment" or not module.has_boxes(Path(path))):
        module = importlib.import_module("kzoo.data.voc_masks")
    return list(module.splits(Path(path)))


def sniff(path: str | Path, task: str | None = None) -> str:
    """The format of what lies at `path`: "voc", "instances", "masks", "arrays", "yolo", "coco", "boxlist" or "shapes".

    Args:
        path: the dataset.
        task: a folder with `masks` and `labels` is "masks" where this is "segment", and "yolo" where not.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: no known format, or an address.
    """
    Place(what="a dataset").check("data", path)  # Path("") would be the folder one is in
    name, path = str(path), Path(path)
    if (name == "shapes" or name.startswith("shapes:")) and not path.exists():
        return "shapes"
    refuse_address(name, "download the dataset and give its folder")
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such dataset; give a folder, a .yaml, .data, .json or .csv file, or shapes"
        )
    from kzoo.data.mask_folders import description_of, holds_masks

    if description_of(path) is not None:
        return "masks"
    labels = [path / folder for folder in ("labels", "train/labels") if (path / folder).is_dir()]
    labelled = bool(labels) and not all(map(holds_masks, labels))
    boxes = task == "detect" or (task is None and labelled)
    # A data.yaml may be there for the names of masks alone.
    kinds = ("yolo", "coco", "yolo_layouts", "masks") if boxes else ("masks", "yolo", "coco", "yolo_layouts")
    boxes_alone = False
    for kind in ("voc", *kinds, "boxlist", "instances", "arrays"):
        module = importlib.import_module(f"kzoo.data.{kind}")
        if not getattr(module, "is_yolo_layout" if kind == "yolo_layouts" else f"is_{kind}")(path):
            continue
        if kind != "voc" or task != "segment" or module.has_masks(path):
            return "yolo" if kind == "yolo_layouts" else kind
        boxes_alone = True  # the masks beside them may be another reader's
    if boxes_alone:
        return "voc"
    if task != "detect" and importlib.import_module("kzoo.data.masks").is_masks_beside(path):
        return "masks"
    importlib.import_module("kzoo.data.yolo_layouts").refuse_nameless(path)
    foreign = importlib.import_module("kzoo.data.foreign").name_foreign(path)
    if foreign is not None:
        raise ValueError(f"{path}: no dataset that is read: {foreign}")
    raise ValueError(
        f"{path}: no dataset found there; known are Pascal VOC (Annotations/ and JPEGImages/, or .xml beside images), "
        "YOLO (a data.yaml or .data file, or label files with classes.txt), COCO (a .json file, or "
        "annotations/*.json), lists of boxes (a .csv file), images/ with masks/ or both side by side, "
        "a folder with images/ and masks/ for each image, and arrays (images.npy with masks.npy)"
    )
