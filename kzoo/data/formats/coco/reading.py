"""COCO's JSON: boxes as x, y, width, height; polygons or run-length masks; crowds.

Lin et al. 2014, Microsoft COCO: Common Objects in Context; the format is https://cocodataset.org/#format-data.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kzoo.data.dataset import Dataset
from kzoo.data.fault import Fault
from kzoo.data.formats.coco.files import (
    Part,
    annotation_files,
    group_candidates,
    read_categories,
    read_content,
)
from kzoo.data.formats.coco.rows import (
    LARGEST_SIDE,
    Row,
    category_of,
    identifier_of,
    read_row,
    shown,
    whole_number,
)
from kzoo.data.formats.coco.writing import to_coco
from kzoo.data.formats.declared import fitted
from kzoo.data.formats.name_lists import sound_names
from kzoo.data.parts import choose_split
from kzoo.data.record import Record

__all__ = ["COCO", "annotation_files", "is_coco", "splits", "to_coco"]


class COCO(Dataset):
    """COCO annotations and the images they name.

    Categories become labels in the order of their ids, which `category_ids` keeps; those that others name as their
    `supercategory` and that nothing is annotated with are groups and no classes. The box of an annotation without
    `bbox` is that of its outline.

    Args:
        root: a `.json` file, or a folder with `annotations/*.json`, `*.json` or `*/_annotations.coco.json`;
            where some are called `instances_*`, those alone are read.
        split: the part: "train" for `instances_train2017.json`; None for all.
        masks: whether samples carry instance masks.

    Raises:
        ValueError: a file is not COCO's JSON, files disagree on categories, or there is no such split.
    """

    format = "coco"

    def __init__(self, root: str | Path, split: str | None = None, masks: bool = False):
        every = annotation_files(Path(root))
        self.splits = list(every) if None not in every else []
        files = every
        if split is not None:
            split = choose_split(split, self.splits, root)
            files = {split: every[split]}
        self._parts = [Part(path, Path(root), part) for part, path in files.items()]
        categories = read_categories(self._parts)
        others = [path for path in every.values() if path not in files.values()]
        self._groups = self._find_groups(categories, others)
        names = {key: str(row["name"]) for key, row in categories.items() if key not in self._groups}
        classes = sound_names(list(names.values()), f"{self._parts[0].path}: categories")
        super().__init__(root, split, classes, list(names), masks)
        self._label = {category: label for label, category in enumerate(names)}
        # An image that several files list is taken once, from the first.
        seen: dict[str, tuple[Part, int, dict]] = {}
        for part in self._parts:
            for position, image in part.images:
                seen.setdefault(str(part.folder / image["file_name"]), (part, position, image))
        self._items = list(seen.values())

    def _find_groups(self, categories: dict[int, dict], others: list[Path]) -> dict[int, str]:
        """Names of the categories that are groups, by id: also by the parts that are not opened, for all are one."""
        groups = group_candidates(categories)
        for part in self._parts:
            groups -= part.used_categories()
        if groups:
            for path in others:
                rows = (row for row in read_content(path)["annotations"] if isinstance(row, dict))
                groups -= {category_of(row.get("category_id")) for row in rows}
        return {key: str(categories[key]["name"]) for key in sorted(groups)}

    def __len__(self) -> int:
        return len(self._items)

    def record(self, index: int) -> Record:
        part, position, image = self._items[self._position(index)]
        record = Record(
            part.find(image["file_name"]), id=image["id"], source=part.path, element="annotations"
        )
        record.size = _size(image)
        if record.size is None and (image.get("height") or image.get("width")):
            message = f"size {shown(image.get('width'))} x {shown(image.get('height'))} is none: passed over"
            record.problems.append(
                Fault(part.path, position, "malformed", message, "warning", element="images")
            )
        if part.ids[identifier_of(image["id"])] > 1:
            message = f"image id {shown(image['id'])} is given to several images: whose annotations are they?"
            record.problems.append(Fault(part.path, position, "duplicate-id", message, element="images"))
        rows = []
        for line in part.by_image.get(identifier_of(image["id"]), ()):
            row = read_row(part.annotations[line])
            if row.complaint:
                record.problems.append(
                    Fault(part.path, line, "malformed", row.complaint, element="annotations")
                )
            else:
                rows.append((line, row))
        self._fill(record, rows, part)
        return fitted(record)

    def _fill(self, record: Record, rows: list[tuple[int, Row]], part: Part) -> None:
        """Puts annotations, each with its position in the file, into the record."""
        xywh = np.array([row.xywh for _, row in rows], np.float64).reshape(-1, 4)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # what is not finite is told by kzoo.data.checks.check
            corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
            record.boxes, record.xywh = corners.astype(np.float32), xywh
        record.labels = np.array([self._label.get(row.category, -1) for _, row in rows], np.int64)
        record.crowd = np.array([row.crowd for _, row in rows], bool)
        record.difficult = np.array([row.difficult for _, row in rows], bool)
        record.lines = [line for line, _ in rows]
        if any(row.area is not None for _, row in rows):
            areas = [row.xywh[2] * row.xywh[3] if row.area is None else row.area for _, row in rows]
            record.areas = np.array(areas, np.float64)
        shapes = [row.outline for _, row in rows]
        record.polygons = shapes if any(shape is not None for shape in shapes) else None
        for box, (line, row) in enumerate(rows):
            if record.labels[box] < 0:
                category_id = part.annotations[line].get("category_id")
                what = f"the group {self._groups[row.category]!r}" if row.category in self._groups else "none"
                message = f"category_id {shown(category_id)} is {what} of the file's categories"
                record.problems.append(record.fault("unknown-class", message, box=box))
            for kind, message in row.remarks:
                severity = "error" if self.masks and kind == "bad-outline" else "warning"
                record.problems.append(record.fault(kind, message, severity, box))

    def problems(self) -> list[Fault]:
        """Entries that belong to no image, images that are not listed, and categories that are no classes."""
        faults = [fault for part in self._parts for fault in part.problems()]
        for identifier, name in self._groups.items():
            message = (
                f"category {identifier}, {name!r}, is the group of others and has no annotation: no class"
            )
            faults.append(Fault(self._parts[0].path, None, "group-category", message, "warning"))
        return faults + self._unlisted()

    def _unlisted(self) -> list[Fault]:
        """Images in the folders that none of the files opened lists; parts that are not opened may share them."""
        unlisted = [set(part.unlisted()) for part in self._parts]
        if len(self._parts) < len(self.splits):
            folders = {part.folder.name.casefold() for part in self._parts}
            if str(self.split).casefold() not in folders:
                return []
        used = {part.find(image["file_name"]) for part, _, image in self._items}
        left = sorted(set().union(*unlisted) - used)
        if not left:
            return []
        message = (
            f"{len(left)} image files that no entry of 'images' names, such as {left[0].name}: never used"
        )
        return [Fault(left[0].parent, None, "unused-image", message, "warning")]


def _size(image: dict) -> tuple[int, int] | None:
    height, width = whole_number(image.get("height")), whole_number(image.get("width"))
    sound = height and width and min(height, width) > 0 and max(height, width) <= LARGEST_SIDE
    return (height, width) if sound else None


def is_coco(path: Path) -> bool:
    """Whether `path` is a COCO .json or a folder of some."""
    if path.is_file():
        return path.suffix.lower() == ".json"
    try:
        return bool(annotation_files(path))
    except ValueError as error:
        return "both split" in str(error)


def splits(path: Path) -> list[str]:
    """The parts its files are called after."""
    return [part for part in annotation_files(path) if part is not None]
