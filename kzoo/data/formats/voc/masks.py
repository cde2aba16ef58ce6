"""Pascal VOC folders for segmentation: `JPEGImages/`, `SegmentationClass/`, `ImageSets/Segmentation/`.

Everingham et al. 2010, The Pascal Visual Object Classes (VOC) Challenge, section 2.2: a mask is a palette PNG with
the numbers of the classes, and 255 for the border of objects and for what is hard to tell. `SegmentationObject/`
numbers the objects in the same way.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from kzoo.data.fault import Fault, FaultError
from kzoo.data.formats.masks.layout import Item, passed_over
from kzoo.data.formats.masks.legend import find_legend, other_legends
from kzoo.data.formats.masks.levels import read_levels
from kzoo.data.formats.masks.reading import MaskFiles, legends_passed_over, read_values
from kzoo.data.formats.text import read_text
from kzoo.data.painting.mask_faults import refuse_size
from kzoo.data.parts import choose_split, order_splits
from kzoo.data.record import Record
from kzoo.sources.finding import IMAGE_SUFFIXES, child_of, files_in
from kzoo.structures import IGNORED
from kzoo.structures.runs import compress_mask

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


class VOCMasks(MaskFiles):
    """A Pascal VOC folder's semantic masks.

    Classes are those of a legend in the folder (see `kzoo.data.formats.masks.legend`; CVAT writes a `labelmap.txt`), or
    VOC's 21.

    Args:
        root: the folder.
        split: a file of `ImageSets/Segmentation` without its suffix; None for all that have a mask or are listed.
        masks: whether samples carry the instances of `SegmentationObject`, with their boxes and labels; without it
            they have no boxes.
    """

    format = "voc"

    def __init__(self, root: str | Path, split: str | None = None, masks: bool = False):
        root = Path(root)
        folder = child_of(root, "JPEGImages")
        images = {path.stem: path for path in files_in(folder, IMAGE_SUFFIXES)}
        masked = {path.stem: path for path in files_in(_folder_of_masks(root), IMAGE_SUFFIXES)}
        listed = _lists(root)
        if split is None:
            ids = sorted(masked.keys() | {name for names in listed.values() for name in names})
        else:
            split = choose_split(split, list(listed), root)
            ids = listed[split]
        items = [Item(name, images.get(name, folder / f"{name}.jpg"), masked.get(name)) for name in ids]
        legend = find_legend(root)
        self._passed_over = other_legends(root, legend)
        names = legend.names if legend is not None and legend.names else CLASSES
        super().__init__(root, split, items, list(names), legend, masks=masks)
        objects = child_of(root, "SegmentationObject") if masks else None
        self._objects = (
            {} if objects is None else {path.stem: path for path in files_in(objects, IMAGE_SUFFIXES)}
        )

    def record(self, index: int) -> Record:
        record = super().record(index)
        path = self._objects.get(record.id)
        if record.mask is not None and path is not None:
            try:
                self._add_objects(record, path)
            except FaultError as error:
                record.problems.append(error.fault)
        return record

    def _add_objects(self, record: Record, path: Path) -> None:
        """Puts boxes, labels and run lengths of the objects into the record; each is of its most frequent class."""
        numbers, classes = read_levels(path), read_values(record.mask, self.legend)
        if numbers.ndim == 3:
            message = "colours, not the numbers of objects"
            raise FaultError(Fault(path, None, "coloured-mask", message), "save it in palette mode")
        refuse_size(numbers.shape, classes.shape, path)
        boxes, labels, record.polygons = [], [], []
        for number in np.unique(numbers[(numbers > 0) & (numbers < IGNORED)]):
            inside = (numbers == number).view(np.uint8)  # (H, W)
            inside &= classes != IGNORED
            x, y, width, height = cv2.boundingRect(inside)
            if not width:
                continue
            boxes.append((x, y, x + width, y + height))
            labels.append(int(np.bincount(classes[inside > 0]).argmax()))
            record.polygons.append(compress_mask(inside))
        record.boxes = np.array(boxes, np.float32).reshape(-1, 4)
        record.labels = np.array(labels, np.int64)
        record.difficult = record.crowd = np.zeros(len(boxes), bool)

    def problems(self) -> list[Fault]:
        """Masks without an image, and what is passed over."""
        message = "no image of that name in JPEGImages"
        faults = [
            Fault(item.mask, None, "mask-without-image", message)
            for item in self.items
            if item.mask is not None and not item.image.is_file()
        ]
        if self.split is None:
            faults += passed_over(_folder_of_masks(self.root))
        return faults + legends_passed_over(self.legend, self._passed_over)


def _folder_of_masks(root: Path) -> Path:
    """`SegmentationClass`, or where that has no images `SegmentationClassPNG`, as labelme writes it beside.

    Raises:
        ValueError: there is neither.
    """
    folders = [child_of(root, name) for name in ("SegmentationClass", "SegmentationClassPNG")]
    there = [folder for folder in folders if folder.is_dir()]
    if not there:
        raise ValueError(f"{root}: no SegmentationClass/ with masks; open it with task='detect'")
    return next((folder for folder in there if files_in(folder, IMAGE_SUFFIXES)), there[0])


def _lists(root: Path) -> dict[str, list[str]]:
    """Ids by split, train, val and test first."""
    folder = child_of(child_of(root, "ImageSets"), "Segmentation")
    files = {path.stem: path for path in files_in(folder, {".txt"})}
    return {part: read_text(files[part]).split() for part in order_splits(files)}


def splits(root: Path) -> list[str]:
    """The lists of `ImageSets/Segmentation`, train, val and test first."""
    return list(_lists(root))
