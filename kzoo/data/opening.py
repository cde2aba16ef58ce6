"""Opening datasets: which format lies there, which parts it has, and its reader."""

from __future__ import annotations

from pathlib import Path

from kzoo.data.dataset import Dataset
from kzoo.data.formats import arrays, bdd100k, roads, shapes
from kzoo.data.formats.boxlist import reading as boxlist
from kzoo.data.formats.coco import reading as coco
from kzoo.data.formats.foreign import name_foreign
from kzoo.data.formats.masks import folders, instances
from kzoo.data.formats.masks import reading as masks
from kzoo.data.formats.outlined import Outlined
from kzoo.data.formats.rasterised import Rasterised
from kzoo.data.formats.voc import masks as voc_masks
from kzoo.data.formats.voc import objects as voc_objects
from kzoo.data.formats.voc import reading as voc
from kzoo.data.formats.yolo import layouts as yolo_layouts
from kzoo.data.formats.yolo import reading as yolo
from kzoo.options import Place
from kzoo.sources.image import check_bits
from kzoo.system.files import refuse_address

# Every format's module, which has a function `splits`.
_MODULES = {
    "voc": voc, "yolo": yolo, "coco": coco, "boxlist": boxlist, "masks": masks, "instances": instances,
    "arrays": arrays, "shapes": shapes, "roads": roads,
    "bdd100k": bdd100k,
}  # fmt: skip
_IS_THERE = {
    "voc": voc.is_voc, "yolo": yolo.is_yolo, "yolo_layouts": yolo_layouts.is_yolo_layout, "coco": coco.is_coco,
    "boxlist": boxlist.is_boxlist, "masks": masks.is_masks, "instances": instances.is_instances,
    "arrays": arrays.is_arrays,
}  # fmt: skip
_OF_MASKS = {"masks": masks.Masks, "arrays": arrays.Arrays}
_OF_BOXES = {"yolo": yolo.YOLO, "coco": coco.COCO, "boxlist": boxlist.BoxList}


def load(
    path: str | Path,
    split: str | None = None,
    masks: bool = False,
    task: str | None = None,
    bits: int | None = None,
) -> Dataset:
    """Opens a dataset, telling its format by looking.

    Args:
        path: a Pascal VOC folder; a YOLO `data.yaml`, a Darknet `.data` file or the folder of one, or one of images,
            label files and `classes.txt`; a COCO `.json` or the folder of some; a `.csv` of boxes, lines of
            keras-yolo3, or the folder of such; a folder with `images/` and `masks/`; a folder of folders with an image
            and its objects' masks each; a folder of `.npy` arrays; BDD100K's folder; "shapes" or "shapes:COUNT" for
            synthetic images, "roads" or "roads:COUNT" for synthetic streets.
        split: the part of the dataset: "train", "val", "test" or what the dataset calls it; all images where None.
        masks: whether samples carry instance masks, where the dataset has them.
        task: "detect" for boxes, "segment" for semantic masks, "instance" for boxes with the mask of each object,
            "drive" for boxes with a mask of what is drivable and of the lanes' lines; where None what the format is
            for: boxes, or masks where it has none.
        bits: how many bits of its 16-bit images are in use, as `kzoo.data.read_image` takes it: 12 where levels go
            from 0 to 4095; all where None.

    Returns:
        A `kzoo.data.Dataset`: `len(dataset)`, `dataset[i]` (a `Sample`), `dataset.record(i)`,
        `dataset.classes`; `dataset.semantic` tells whether it is one of semantic masks, `dataset.instances` whether
        its batches carry instance masks, `dataset.roads` whether they carry boxes and a mask of roads.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: no known format, no such split, or nothing for the task; the message lists what there is.

    Example:
        >>> dataset = kzoo.data.load("VOCdevkit/VOC2012", split="train", task="segment")
        >>> dataset[0].mask.shape, dataset.classes[:2]
        ((281, 500), ['background', 'aeroplane'])
    """
    if task not in (None, "detect", "segment", "instance", "drive"):
        raise ValueError(f"{path}: task {task!r}; give detect, segment, instance or drive")
    dataset = _opened(path, split, masks or task == "instance", task)
    if task == "instance" and not dataset.instances:
        dataset = Outlined(dataset)
    if bits is not None:
        check_bits(bits)
        if not dataset.files:
            raise ValueError(
                f"{path}: bits={bits} is for image files, and this dataset has none; leave it out"
            )
        dataset.bits = bits
    return dataset


def _opened(path: str | Path, split: str | None, masks: bool, task: str | None) -> Dataset:
    kind = sniff(path, task)
    if task == "drive" and kind not in ("roads", "bdd100k"):
        raise ValueError(
            f"{path}: no drivable area and no lanes' lines beside boxes; give BDD100K's folder, or roads"
        )
    if kind == "shapes":
        return shapes.from_name(str(path), split, masks, task or "detect")
    if kind == "roads":
        return roads.from_name(str(path), split, task or "drive")
    path = Path(path)
    if kind == "bdd100k":
        return bdd100k.BDD100K(path, split, _of_roads(path, task))
    if kind == "instances":
        return instances.Instances(path, split, masks, task=task or "segment")
    if task == "detect" and (kind in _OF_MASKS or (kind == "voc" and not voc.has_boxes(path))):
        raise ValueError(f"{path}: semantic masks and no boxes; open it with task='segment'")
    if task == "instance":
        _refuse_shapeless(path, kind)
    if kind in _OF_MASKS:
        return _OF_MASKS[kind](path, split)
    if kind == "voc" and task == "instance":
        return voc_objects.VOCObjects(path, split)
    if kind == "voc":
        return voc_masks.VOCMasks(path, split, masks) if _means_masks(path, task) else voc.VOC(path, split)
    dataset = _OF_BOXES[kind](path, split, masks)
    return Rasterised(dataset) if task == "segment" else dataset


def _of_roads(path: Path, task: str | None) -> str:
    """The task that BDD100K is opened for."""
    if task not in (None, "drive", "detect"):
        raise ValueError(f"{path}: boxes, and masks of roads; open it with task='drive', or task='detect'")
    return task or "drive"


def _refuse_shapeless(path: Path, kind: str) -> None:
    """Raises where a format cannot say which pixels are which object's."""
    if kind in _OF_MASKS:
        has = "semantic masks, which do not tell one object from the next; open it with task='segment'"
    elif kind == "boxlist":
        has = "boxes without outlines; open it with task='detect'"
    elif kind == "voc" and not voc_objects.has_objects(path):
        task = "detect" if voc.has_boxes(path) else "segment"
        has = f"no masks of objects in SegmentationObject/; open it with task={task!r}"
    else:
        return
    raise ValueError(f"{path}: {has}")


def _means_masks(path: Path, task: str | None) -> bool:
    """Whether a Pascal VOC folder is opened for its masks."""
    return task in ("segment", "instance") or not voc.has_boxes(path)


def splits(path: str | Path, task: str | None = None) -> list[str]:
    """Names of the parts a dataset is divided in, train, val and test first; none where it is not divided.

    Args:
        path: the dataset, as `load` takes it.
        task: "detect", "segment" or "instance", as `load` takes it: parts of the one need not be parts of the other.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: no known format.
    """
    kind, path = sniff(path, task), Path(path)
    module = voc_masks if kind == "voc" and _means_masks(path, task) else _MODULES[kind]
    return list(module.splits(path))


def sniff(path: str | Path, task: str | None = None) -> str:
    """The format of what lies at `path`: "voc", "instances", "masks", "arrays", "yolo", "coco", "boxlist", "bdd100k",
    "shapes" or "roads".

    Args:
        path: the dataset.
        task: a folder with `masks` and `labels` is "masks" where this is "segment", and "yolo" where not.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: no known format, or an address.
    """
    Place(what="a dataset").check("data", path)  # Path("") would be the folder one is in
    name, path = str(path), Path(path)
    if shapes.is_shapes(path) and not path.exists():
        return "shapes"
    if roads.is_roads(path) and not path.exists():
        return "roads"
    refuse_address(name, "download the dataset and give its folder")
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such dataset; give a folder, a .yaml, .data, .json or .csv file, shapes or roads"
        )
    if bdd100k.is_bdd100k(path):
        return "bdd100k"
    if folders.description_of(path) is not None:
        return "masks"
    labels = [path / folder for folder in ("labels", "train/labels") if (path / folder).is_dir()]
    labelled = bool(labels) and not all(map(folders.holds_masks, labels))
    boxes = task in ("detect", "instance") or (task is None and labelled)
    # A data.yaml may be there for the names of masks alone.
    kinds = ("yolo", "coco", "yolo_layouts", "masks") if boxes else ("masks", "yolo", "coco", "yolo_layouts")
    boxes_alone = False
    for kind in ("voc", *kinds, "boxlist", "instances", "arrays"):
        if not _IS_THERE[kind](path):
            continue
        if kind != "voc" or task != "segment" or voc.has_masks(path):
            return "yolo" if kind == "yolo_layouts" else kind
        boxes_alone = True  # the masks beside them may be another reader's
    if boxes_alone:
        return "voc"
    if task != "detect" and masks.is_masks_beside(path):
        return "masks"
    yolo_layouts.refuse_nameless(path)
    foreign = name_foreign(path)
    if foreign is not None:
        raise ValueError(f"{path}: no dataset that is read: {foreign}")
    raise ValueError(
        f"{path}: no dataset found there; known are Pascal VOC (Annotations/ and JPEGImages/, or .xml beside images), "
        "YOLO (a data.yaml or .data file, or label files with classes.txt), COCO (a .json file, or "
        "annotations/*.json), lists of boxes (a .csv file), images/ with masks/ or both side by side, "
        "a folder with images/ and masks/ for each image, arrays (images.npy with masks.npy), and BDD100K "
        "(labels/det_20/det_*.json)"
    )
