"""COCO's JSON: boxes as x, y, width, height; polygons or run-length masks; crowds.

Lin et al. 2014, Microsoft COCO: Common Objects in Context; the format is https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kzoo.data.dataset import Dataset, Fault, Record, choose_split, order_splits
from kzoo.data.declared import fitted

# A file of one of these names holds the whole dataset, not a part called that.
_WHOLE = frozenset({"annotations", "instances", "labels", "coco", "data", "dataset", "result"})
_USUAL = ("train", "val", "valid", "test")


class COCO(Dataset):
    """COCO annotations and the images they name.

    Categories become labels in the order of their ids, which `category_ids` keeps.

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
        files = annotation_files(Path(root))
        self.splits = list(files) if None not in files else []
        if split is not None:
            split = choose_split(split, self.splits, root)
            files = {split: files[split]}
        self._parts = [_Part(path, Path(root), part) for part, path in files.items()]
        categories = _categories(self._parts)
        super().__init__(root, split, categories.values(), list(categories), masks)
        self._label = {category: label for label, category in enumerate(categories)}
        # An image that several files list is taken once, from the first.
        seen: dict[str, tuple[_Part, int]] = {}
        for part in self._parts:
            for position, image in enumerate(part.images):
                seen.setdefault(str(part.folder / image["file_name"]), (part, position))
        self._items = list(seen.values())

    def __len__(self) -> int:
        return len(self._items)

    def record(self, index: int) -> Record:
        part, position = self._items[self._position(index)]
        image = part.images[position]
        record = Record(
            part.find(image["file_name"]),
            id=image["id"],
            source=part.path,
            element="annotations",
            size=_size(image),
        )
        if part.ids[image["id"]] > 1:
            message = f"image id {image['id']!r} is given to several images: whose annotations are they?"
            record.problems.append(Fault(part.path, position, "duplicate-id", message, element="images"))
        rows = []
        for line in part.by_image.get(image["id"], ()):
            complaint = _malformed(part.annotations[line])
            if complaint:
                record.problems.append(Fault(part.path, line, "malformed", complaint, element="annotations"))
            else:
                rows.append((line, part.annotations[line]))
        self._fill(record, rows)
        return fitted(record)

    def _fill(self, record: Record, rows: list[tuple[int, dict]]) -> None:
        """Puts annotations, each with its position in the file, into the record."""
        xywh = np.array([row["bbox"] for _, row in rows], np.float64).reshape(-1, 4)
        record.boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1).astype(np.float32)
        record.labels = np.array([self._label.get(row.get("category_id"), -1) for _, row in rows], np.int64)
        record.crowd = np.array([bool(row.get("iscrowd")) for _, row in rows], bool)
        record.difficult = np.array([bool(row.get("difficult")) for _, row in rows], bool)
        record.lines = [line for line, _ in rows]
        if any("area" in row for _, row in rows):
            areas = [row.get("area", box[2] * box[3]) for (_, row), box in zip(rows, xywh, strict=True)]
            record.areas = np.array(areas, np.float64)
        shapes = [_polygons(row.get("segmentation")) for _, row in rows]
        record.polygons = shapes if any(shape is not None for shape in shapes) else None
        for box, (_, row) in enumerate(rows):
            if record.labels[box] < 0:
                message = f"category_id {row.get('category_id')!r} is none of the file's categories"
                record.problems.append(record.fault("unknown-class", message, box=box))

    def problems(self) -> list[Fault]:
        """Annotations of images that no file lists."""
        return [fault for part in self._parts for fault in part.problems()]


class _Part:
    """One annotation file: its lists, and where its images are."""

    def __init__(self, path: Path, root: Path, split: str | None):
        self.path = path
        content = _read(path)
        self.images: list[dict] = content["images"]
        self.annotations: list[dict] = content["annotations"]
        self.categories: list[dict] = content.get("categories", [])
        for position, image in enumerate(self.images):
            if (
                not isinstance(image, dict)
                or "id" not in image
                or not isinstance(image.get("file_name"), str)
            ):
                raise ValueError(f"{path}:images[{position}]: needs 'id' and 'file_name'; correct the entry")
        self.ids = Counter(image["id"] for image in self.images)
        self.by_image: dict[int | str, list[int]] = {}
        for position, row in enumerate(self.annotations):
            if not isinstance(row, dict) or not isinstance(row.get("image_id"), (int, str)):
                raise ValueError(f"{path}:annotations[{position}]: needs an 'image_id'; correct the entry")
            self.by_image.setdefault(row["image_id"], []).append(position)
        self.folder = self._image_folder(root, split)

    def _image_folder(self, root: Path, split: str | None) -> Path:
        base = root if root.is_dir() else self.path.parent
        base = base.parent if base.name == "annotations" else base
        self._candidates = [base / "images", base, self.path.parent, base / "JPEGImages"]
        if split:
            self._candidates[:0] = [base / split, base / "images" / split]
        for image in self.images[:20]:
            for folder in self._candidates:
                if (folder / image["file_name"]).is_file():
                    return folder
        return next((folder for folder in self._candidates if folder.is_dir()), base)

    def find(self, name: str) -> Path:
        """The file of an image; where no folder has it, where it should be."""
        if (self.folder / name).is_file():
            return self.folder / name
        return next((f / name for f in self._candidates if (f / name).is_file()), self.folder / name)

    def problems(self) -> list[Fault]:
        """Annotations of images that the file does not list."""
        faults = []
        for identifier in self.by_image.keys() - self.ids.keys():
            message = f"image_id {identifier!r} is none of the file's images"
            for position in self.by_image[identifier]:
                fault = Fault(self.path, position, "label-without-image", message, element="annotations")
                faults.append(fault)
        return sorted(faults, key=lambda fault: fault.line)


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}; export it anew") from None
    lists = ("images", "annotations")
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in lists):
        raise ValueError(f"{path}: not COCO's format: it should hold the lists 'images' and 'annotations'")
    return content


def _categories(parts: list[_Part]) -> dict[int, str]:
    """Name by id, in ascending order of the ids, over all files."""
    names: dict[int, str] = {}
    for part in parts:
        own: set[int] = set()
        for position, category in enumerate(part.categories):
            where = f"{part.path}:categories[{position}]"
            identifier = category.get("id") if isinstance(category, dict) else None
            if not isinstance(identifier, int) or "name" not in category:
                raise ValueError(f"{where}: needs a whole number 'id' and a 'name'; correct the entry")
            name = str(category["name"])
            if identifier in own or names.setdefault(identifier, name) != name:
                known = f"{identifier} is {names[identifier]!r} already"
                raise ValueError(f"{where}: id {known}; give every class one id")
            own.add(identifier)
    if not names and any(part.annotations for part in parts):
        raise ValueError(f"{parts[0].path}: no 'categories'; list every class with its id and name")
    return dict(sorted(names.items()))


def _malformed(row: dict) -> str | None:
    box = row.get("bbox")
    if isinstance(box, list) and len(box) == 4 and all(type(value) in (int, float) for value in box):
        return None
    return f"bbox {box!r} is not [x, y, width, height]" if "bbox" in row else "no bbox"


def _size(image: dict) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    return (
        (height, width) if isinstance(height, int) and isinstance(width, int) and height and width else None
    )


def _polygons(segmentation) -> list[np.ndarray] | dict | None:
    if isinstance(segmentation, dict) and "counts" in segmentation and "size" in segmentation:
        return segmentation
    if not isinstance(segmentation, list):
        return None
    flat = [part for part in segmentation if isinstance(part, list) and len(part) >= 6 and len(part) % 2 == 0]
    return [np.array(part, np.float64).reshape(-1, 2) for part in flat] or None


def to_coco(
    dataset: Dataset, category_ids: Sequence[int] | None = None, segmentations: bool = False
) -> dict[str, list[dict]]:
    """A dataset's annotation in COCO's format, read without decoding the images.

    `images` lie in the dataset's order, `categories` in the order of the labels. An annotation has `id`,
    `image_id`, `category_id`, `bbox`, `area`, `iscrowd` and `difficult`. Image ids are the records' own where
    those are distinct whole numbers, else 1, 2, ...

    Args:
        dataset: any `kzoo.data.Dataset`.
        category_ids: the id of every label; the dataset's own where None.
        segmentations: whether annotations carry polygons or RLE as `segmentation`.
    """
    category_ids = dataset.category_ids if category_ids is None else category_ids
    records = [dataset.record(index) for index in range(len(dataset))]
    ids = [record.id for record in records]
    if not all(isinstance(identifier, int) for identifier in ids) or len(set(ids)) < len(ids):
        ids = list(range(1, len(records) + 1))
    images, annotations = [], []
    numbers = itertools.count(1)
    for index, (identifier, record) in enumerate(zip(ids, records, strict=True)):
        height, width = record.size or dataset.size(index)
        images.append({"id": identifier, "file_name": record.path.name, "height": height, "width": width})
        for row in _annotations(record, category_ids, segmentations):
            annotations.append({"id": next(numbers), "image_id": identifier, **row})
    named = zip(category_ids, dataset.classes, strict=True)
    categories = [{"id": int(identifier), "name": name} for identifier, name in named]
    return {"images": images, "annotations": annotations, "categories": categories}


def _annotations(record: Record, category_ids: Sequence[int], segmentations: bool):
    """The record's boxes as COCO's annotations, without their ids."""
    for box, corners in enumerate(record.boxes.astype(np.float64)):
        x1, y1, x2, y2 = (float(value) for value in corners)
        label = int(record.labels[box])
        shape = None if record.polygons is None else record.polygons[box]
        row = {
            "category_id": int(category_ids[label]) if 0 <= label < len(category_ids) else -1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1) if record.areas is None else float(record.areas[box]),
            "iscrowd": int(record.crowd[box]),
            "difficult": int(record.difficult[box]),
        }
        if segmentations and shape is not None:
            flat = shape if isinstance(shape, dict) else [part.ravel().tolist() for part in shape]
            row["segmentation"] = flat
        yield row


def annotation_files(root: Path) -> dict[str | None, Path]:
    """Annotation files by split; by None where there is one for the whole.

    Raises:
        ValueError: `root` has none.
    """
    if root.is_file():
        files = [root]
    else:
        files = sorted((root / "annotations").glob("*.json")) or sorted(root.glob("*/*.coco.json"))
        files = files or [
            path for path in sorted(root.glob("*.json")) if b'"annotations"' in path.read_bytes()
        ]
        files = [path for path in files if path.name.startswith("instances_")] or files
    if not files:
        raise ValueError(f"{root}: no COCO .json in it or its annotations folder")
    named = {_split_name(path): path for path in files}
    if len(files) == 1 and (files[0].stem.lower() in _WHOLE or files[0].stem.startswith("_annotations")):
        return {None: files[0]} if files[0].parent.name not in _USUAL else named
    return {name: named[name] for name in order_splits(named)}


def _split_name(path: Path) -> str:
    if path.name.endswith("_annotations.coco.json") or path.stem.lower() in _WHOLE:
        return path.parent.name
    return path.stem.removeprefix("instances_").removesuffix("_annotations")


def is_coco(path: Path) -> bool:
    """Whether `path` is a COCO .json or a folder of some."""
    if path.is_file():
        return path.suffix == ".json"
    try:
        return bool(annotation_files(path))
    except ValueError:
        return False


def splits(path: Path) -> list[str]:
    """The parts its files are called after."""
    return [part for part in annotation_files(path) if part is not None]
