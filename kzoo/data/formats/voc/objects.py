"""Pascal VOC folders for instance masks: objects by `SegmentationObject/`, classes by `SegmentationClass/`."""

from __future__ import annotations

from pathlib import Path

from kzoo.data.fault import Fault
from kzoo.data.formats.voc.masks import VOCMasks
from kzoo.data.record import Record
from kzoo.sources.finding import IMAGE_SUFFIXES, child_of, files_in

_GROUND = ("background", "bg", "ground", "unlabeled", "unlabelled", "void")


class VOCObjects(VOCMasks):
    """The objects of a Pascal VOC folder's masks, in its classes but the background.

    Boxes are those of the masks, as in the VOC's simultaneous detection and segmentation.

    Args:
        root: the folder.
        split: a file of `ImageSets/Segmentation` without its suffix; None for all that have a mask or are listed.

    Source: Hariharan et al. 2014, Simultaneous Detection and Segmentation, arXiv:1407.1808.
    """

    semantic = False

    def __init__(self, root: str | Path, split: str | None = None):
        super().__init__(root, split, masks=True)
        self._first = int(self.classes[0].strip("_").lower() in _GROUND)
        self.classes = self.classes[self._first :]
        self.category_ids = self.category_ids[self._first :]

    def record(self, index: int) -> Record:
        record = super().record(index)
        record.labels = record.labels - self._first
        if record.polygons is None and not record.problems:
            message = f"no mask of its objects in SegmentationObject for image {record.id}"
            record.problems.append(Fault(record.path, None, "missing-mask", message))
        return record


def has_objects(root: Path) -> bool:
    """Whether a Pascal VOC folder has masks that number the objects."""
    folder = child_of(root, "SegmentationObject")
    return folder.is_dir() and bool(files_in(folder, IMAGE_SUFFIXES))
