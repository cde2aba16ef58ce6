"""Pascal VOC folders: an annotation file an image, and lists of images.

Everingham et al. 2010, The Pascal Visual Object Classes (VOC) Challenge: `xmin` ... `ymax` are pixels counted
from 1, both ends belonging to the box, so a box is (xmin - 1, ymin - 1, xmax, ymax) in kzoo's convention.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from kzoo.data.dataset import Dataset
from kzoo.data.fault import Fault
from kzoo.data.formats.declared import fitted
from kzoo.data.formats.inside import KIND, OutsideError
from kzoo.data.formats.name_lists import read_names
from kzoo.data.formats.voc.layout import Ids, Layout, find_layout, has_annotations, image_of
from kzoo.data.formats.voc.xml import Annotation, parse
from kzoo.data.parts import choose_split
from kzoo.data.record import Record
from kzoo.sources.finding import child_of

__all__ = ["VOC", "Annotation", "has_boxes", "is_voc", "parse", "splits"]


class VOC(Dataset):
    """A Pascal VOC folder, as the challenge or a labelling tool lays it out (see `kzoo.data.formats.voc.layout`).

    Classes are the lines of `classes.txt` or `labels.txt` in the folder, or else the names in all annotations,
    sorted. A box with xmin = xmax is taken for a click, not for a strip of one pixel: it gets no width, and
    `kzoo data check` reports it.

    Args:
        root: the folder.
        split: a file of `ImageSets/Main` without its suffix, or a folder of that part; None for all annotated or
            listed images.

    Raises:
        ValueError: there is no such split, or the folder is no such dataset, or several.
    """

    format = "voc"

    def __init__(self, root: str | Path, split: str | None = None):
        root = Path(root)
        layout = _layout(root)
        ids = Ids(layout.images.keys() | layout.annotations.keys())
        self.splits = layout.splits
        if split is not None:
            # Lists of one class, such as "cat_train", can be asked for but are not offered.
            split = split if split in layout.lists else choose_split(split, self.splits, root)
            listed = split in layout.lists
            self.ids = ids.listed(layout.lists[split]) if listed else layout.parts[split]
        else:
            lists = [layout.lists[part] for part in self.splits if part in layout.lists]
            self.ids = sorted(
                {name for path in lists for name in ids.listed(path)} | layout.annotations.keys()
            )
        self._layout = layout
        self._parsed = {name: parse(path) for name, path in layout.annotations.items()}
        self._images = _images(layout, self._parsed)
        classes = _classes(root) or sorted({name for item in self._parsed.values() for name in item.names})
        super().__init__(root, split, classes)
        self._label = {name: label for label, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.ids)

    def record(self, index: int) -> Record:
        name = self.ids[self._position(index)]
        annotation = self._parsed.get(name)
        path = self._images.get(name)
        if path is None:
            claimed = "" if annotation is None else annotation.image.get("filename", "")
            path = _expected(self._layout.bases[0] / name, claimed)
        if annotation is None:
            source = _with_suffix(self._layout.annotation_folder / name, ".xml")
            missing = Fault(
                source, None, "image-without-label", "no such annotation file; the image is listed"
            )
            return Record(path, id=name, problems=[missing])
        record = Record(
            path,
            np.array(annotation.boxes, np.float64),
            [self._label.get(name, -1) for name in annotation.names],
            annotation.difficult,
            annotation.crowd,
            id=name,
            source=annotation.path,
            lines=list(annotation.lines),
            size=annotation.size,
            problems=list(annotation.problems),
        )
        for box, label in enumerate(record.labels):
            if label < 0:
                message = f"class {annotation.names[box]!r} is not in the list of classes"
                record.problems.append(record.fault("unknown-class", message, box=box))
        return fitted(record)

    def problems(self) -> list[Fault]:
        """Coordinates counted from 0; images of the part with no annotation and in no list."""
        faults = [
            Fault(path, None, "unused-image", "no annotation file and in no list: never used", "warning")
            for path in self._unused()
        ]
        parsed = [self._parsed[name] for name in self.ids if name in self._parsed]
        zeros = sum(min(box[:2]) == -1 for annotation in parsed for box in annotation.boxes)
        if zeros:
            message = (
                f"{zeros} boxes begin at pixel 0, but Pascal VOC counts from 1: all may be one pixel off"
            )
            faults.append(Fault(self._layout.annotation_folder, None, "zero-based", message, "warning"))
        return faults

    def _unused(self) -> list[Path]:
        """Images that belong to no id; none where a list says which images are meant."""
        if self.split in self._layout.lists:
            return []
        within = f"{self.split}/" if self.split else ""
        used = {self._images[name] for name in self.ids if name in self._images}
        images = self._layout.images.items()
        return sorted({path for key, paths in images if key.startswith(within) for path in paths} - used)


def _images(layout: Layout, parsed: dict[str, Annotation]) -> dict[str, Path]:
    """The image of every id: that of an annotation file, or of a name without one."""
    by_stem: dict[str, list[Path]] = {}
    for key, paths in layout.images.items():
        by_stem.setdefault(PurePosixPath(key).name, []).extend(paths)
    own = {key: paths[0] for key, paths in layout.images.items() if key not in parsed}
    images = {}
    for key, item in parsed.items():
        try:
            images[key] = image_of(key, item.image, layout, by_stem)
        except OutsideError as error:
            item.complain(None, KIND, str(error))
    # A copied annotation file still says the name of another's image, which is not its own.
    stems = {path: key for key, path in images.items() if path and path.stem == PurePosixPath(key).name}
    return own | {key: path for key, path in images.items() if path and stems.get(path, key) == key}


def _expected(stem: Path, claimed: str) -> Path:
    """Where an annotation's image should be, of which there is none; with the suffix of the `claimed` file name."""
    suffix = PurePosixPath(claimed).suffix
    return _with_suffix(stem, suffix if 1 < len(suffix) < 6 and suffix.isprintable() else ".jpg")


def _with_suffix(stem: Path, suffix: str) -> Path:
    # Not with_suffix, which takes what follows a dot in the name for one; nor with_name, which "/" has not.
    return stem.parent / f"{stem.name}{suffix}"


def _layout(root: Path) -> Layout:
    layout = find_layout(root)
    if layout is None:
        raise ValueError(f"{root}: no annotation files of Pascal VOC in it, its Annotations or its parts")
    return layout


def is_voc(path: Path) -> bool:
    """Whether `path` is a Pascal VOC folder, of boxes or of semantic masks."""
    return path.is_dir() and (has_masks(path) or has_boxes(path))


def has_masks(path: Path) -> bool:
    """Whether a Pascal VOC folder has semantic masks."""
    return child_of(path, "SegmentationClass").is_dir() and child_of(path, "JPEGImages").is_dir()


def has_boxes(path: Path) -> bool:
    """Whether a Pascal VOC folder has boxes: those made for segmentation alone have none."""
    return has_annotations(path)


def splits(root: Path) -> list[str]:
    """The lists of `ImageSets/Main`, train, val and test first, without those of one class ("cat_train")."""
    return _layout(root).splits


def _classes(root: Path) -> list[str] | None:
    for name in ("classes.txt", "labels.txt"):
        path = child_of(root, name)
        if path.is_file():
            return read_names(path)
    return None
