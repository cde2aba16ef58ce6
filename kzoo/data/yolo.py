"""YOLO datasets: a text file an image, with a line `class x y width height` in fractions of the image an object.

Two kinds of description are known: Ultralytics' `data.yaml` and Darknet's `.data`. A line of a class and three
or more points is a polygon. What such a line cannot say, `difficult` and `crowd`, kzoo keeps in `flags.json`
beside the description: `{"labels/a.txt": {"difficult": [3]}}`, by line.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import yaml

from kzoo.data.dataset import Dataset, Fault, Record, choose_split, image_fault, read_names
from kzoo.data.finding import images_in
from kzoo.data.image import image_size
from kzoo.data.text import read_lines, read_text

FLAGS = "flags.json"
# Keys of a data.yaml that are no split even where their value happens to be a file.
_NO_SPLITS = frozenset({"path", "names", "nc", "download", "yaml_file", "kpt_shape", "flip_idx", "channels"})


class YOLO(Dataset):
    """A YOLO dataset.

    Args:
        root: a `data.yaml`, a `.data` file, or the folder that has one.
        split: "train", "val", "test" or another of its parts; None for the images of all.
        masks: whether samples carry masks of the polygons.

    Raises:
        ValueError: the description cannot be read, names are missing, or there is no such split.
    """

    format = "yolo"

    def __init__(self, root: str | Path, split: str | None = None, masks: bool = False):
        description = describe(Path(root))
        self.splits = list(description.parts)
        if split is not None:
            split = choose_split(split, self.splits, root)
        super().__init__(root, split, description.names, masks=masks)
        wanted = self.splits if split is None else [split]
        paths = {path: None for part in wanted for path in description.images(part)}
        self.paths = list(paths)
        self._base = description.file.parent
        self._flags = _read_flags(self._base / FLAGS)

    def __len__(self) -> int:
        return len(self.paths)

    def record(self, index: int) -> Record:
        path = self.paths[self._position(index)]
        label = find_label(path)
        problems = []
        try:
            size = image_size(path)
        except (OSError, ValueError) as error:
            size = (1, 1)  # boxes stay fractions: there are no pixels to count in
            problems.append(image_fault(path, error))
        if label is None:
            missing = Fault(
                path, None, "image-without-label", "no label file: taken as background", "warning"
            )
            return Record(path, id=path.stem, problems=[*problems, missing])
        lines = parse(label, problems)
        boxes, polygons = [], []
        height, width = size
        for _, _, values in lines:
            box, polygon = _to_pixels(values, width, height)
            boxes.append(box)
            polygons.append(polygon)
        flags = self._flags.get(_relative(label, self._base), {})
        numbers = [number for number, _, _ in lines]
        record = Record(
            path,
            np.array(boxes, np.float64),
            [name for _, name, _ in lines],
            [number in flags.get("difficult", ()) for number in numbers],
            [number in flags.get("crowd", ()) for number in numbers],
            id=path.stem,
            source=label,
            lines=numbers,
            polygons=polygons if any(polygon is not None for polygon in polygons) else None,
            problems=problems,
        )
        for box, name in enumerate(record.labels):
            if not 0 <= name < len(self.classes):
                message = f"class {name}, but there are {len(self.classes)}, counted from 0"
                problems.append(record.fault("unknown-class", message, box=box))
        return record

    def label_places(self, index: int) -> list[Path]:
        return label_candidates(self.paths[self._position(index)])

    def problems(self) -> list[Fault]:
        """Label files in the folders of this part that no image belongs to."""
        named: dict[tuple[Path, Path], set[str]] = {}
        for path in self.paths:
            named.setdefault((path.parent, label_candidates(path)[0].parent), set()).add(path.stem)
        faults = []
        for (images, labels), stems in sorted(named.items(), key=lambda item: item[0]):
            if not labels.is_dir() or labels == images:
                continue
            stems |= {path.stem for path in images.iterdir()} if images.is_dir() else set()
            for path in sorted(labels.glob("*.txt")):
                if path.stem not in stems and path.name != "classes.txt":
                    faults.append(
                        Fault(path, None, "label-without-image", f"no image of that name in {images}")
                    )
        return faults


class Description:
    """What a `data.yaml` or `.data` file says: `file`, `names`, and `parts`: lists of paths by split."""

    def __init__(self, file: Path, names: list[str], parts: dict[str, list[Path]], bases: list[Path]):
        self.file = file
        self.names = names
        self.parts = parts
        self._bases = bases

    def images(self, part: str) -> list[Path]:
        """The image files of a part, in the order of its lists, or sorted where it is a folder."""
        found: list[Path] = []
        for source in self.parts[part]:
            if source.is_dir():
                found += images_in(source)
            elif source.suffix == ".txt" and source.is_file():
                lines = read_lines(source)
                found += [self._resolve(line.strip(), source) for line in lines if line.strip()]
            else:
                raise ValueError(f"{self.file}: {part}: {source} is no folder and no .txt list; correct it")
        return found

    def _resolve(self, line: str, source: Path) -> Path:
        candidates = [base / line for base in (source.parent, *self._bases)]
        return next((path for path in candidates if path.exists()), candidates[0])


def describe(path: Path) -> Description:
    """Reads the description of a dataset: a `.yaml` or `.data` file, or the folder that has one.

    Raises:
        ValueError: there is none or more than one, it has no names or no splits, or is no YAML.
    """
    file = path
    if path.is_dir():
        files = _descriptions(path)
        if len(files) != 1:
            raise ValueError(f"{path}: {len(files) or 'no'} data.yaml or .data files; give the file itself")
        file = files[0]
    description = read_description(file)
    if not description.parts:
        raise ValueError(f"{file}: names no images; add a line 'train:' with a folder or a list")
    return description


def read_description(file: Path) -> Description:
    """What a `.yaml` or `.data` file says, were it of the class names alone.

    Raises:
        ValueError: it has no names, or is no YAML.
    """
    return _darknet(file) if file.suffix == ".data" else _ultralytics(file)


def _ultralytics(file: Path) -> Description:
    try:
        content = yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        raise ValueError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file}: not a dataset: it should hold 'train', 'val' and 'names'")
    base = file.parent / str(content.get("path") or "")
    base = base if base.exists() else file.parent
    parts = {}
    for key, value in content.items():
        entries = value if isinstance(value, list) else [value]
        if key in _NO_SPLITS or not entries or not all(isinstance(entry, str) for entry in entries):
            continue
        sources = [_source(entry, base) for entry in entries]
        if key in ("train", "val", "test") or all(source.exists() for source in sources):
            parts[key] = sources
    return Description(file, _yaml_names(file, content), parts, [base, file.parent])


def _source(entry: str, base: Path) -> Path:
    path = base / entry
    # Roboflow writes "../train/images" for what lies beside its data.yaml.
    if not path.exists() and entry.startswith("../") and (base / entry[3:]).exists():
        return base / entry[3:]
    return path


def _yaml_names(file: Path, content: dict) -> list[str]:
    names, count = content.get("names"), content.get("nc")
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise ValueError(f"{file}: names: keys {sorted(names)}; number the classes from 0 without a gap")
        names = [names[label] for label in range(len(names))]
    if names is None and isinstance(count, int):
        names = range(count)
    if not names:
        raise ValueError(f"{file}: no 'names'; list the class names")
    if count is not None and count != len(names):
        raise ValueError(f"{file}: nc is {count}, but there are {len(names)} names; correct one of them")
    return [str(name) for name in names]


def _darknet(file: Path) -> Description:
    fields = {}
    for line in read_lines(file):
        key, equals, value = line.partition("#")[0].partition("=")
        if equals:
            fields[key.strip()] = value.strip()
    # Darknet's paths are relative to where it is run, most often the folder above the .data file.
    bases = [file.parent, file.parent.parent, Path()]

    def find(value: str) -> Path:
        return next((base / value for base in bases if (base / value).exists()), file.parent / value)

    if "names" not in fields:
        raise ValueError(f"{file}: no 'names ='; give the file of class names")
    names_file = find(fields["names"])
    if not names_file.is_file():
        raise ValueError(f"{file}: names = {fields['names']}: no such file")
    names = read_names(names_file)
    if "classes" in fields and fields["classes"] != str(len(names)):
        raise ValueError(f"{file}: classes = {fields['classes']}, but {names_file} has {len(names)} names")
    keys = {"train": "train", "valid": "val", "val": "val", "test": "test"}
    parts = {part: [find(fields[key])] for key, part in keys.items() if key in fields}
    return Description(file, names, parts, bases)


def label_candidates(image: Path) -> list[Path]:
    """Where the label file of an image may lie: `labels` for the last `images` in its path, then beside it."""
    beside = image.with_suffix(".txt")
    folders = list(beside.parts[:-1])
    for position in reversed(range(len(folders))):
        if folders[position] in ("images", "JPEGImages"):
            folders[position] = "labels"
            return [Path(*folders, beside.name), beside]
    return [beside]


def find_label(image: Path) -> Path | None:
    """The label file of an image; None where there is none."""
    return next((path for path in label_candidates(image) if path.is_file()), None)


def parse(path: Path, problems: list[Fault]) -> list[tuple[int, int, list[float]]]:
    """The lines of a label file as (line number, class, numbers); what is none goes to `problems`."""
    found = []
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if not text.strip():
        message = "an empty label file: the image is taken as background"
        problems.append(Fault(path, None, "empty-file", message, "warning"))
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            name, *values = (float(word) for word in words)
            if not name.is_integer() or not (len(values) == 4 or (len(values) >= 6 and len(values) % 2 == 0)):
                raise ValueError
        except ValueError:
            shown = line.strip() if len(line) <= 60 else f"{line.strip()[:57]}..."
            message = f"{shown!r} is neither 'class x y width height' nor a class and three or more points"
            problems.append(Fault(path, number, "malformed", message))
            continue
        found.append((number, int(name), values))
    return found


def _to_pixels(values: list[float], width: int, height: int) -> tuple[list[float], list | None]:
    """Box and polygon in pixels."""
    if len(values) == 4:
        x, y, w, h = values
        return [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height], None
    points = np.array(values, np.float64).reshape(-1, 2) * (width, height)
    return [*points.min(axis=0), *points.max(axis=0)], [points]


def _read_flags(path: Path) -> dict:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}; correct or remove it") from None


def _relative(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()


def _descriptions(folder: Path) -> list[Path]:
    """`data.yaml`, or else every .yaml with names, or else every .data file."""
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (folder / name).is_file():
            return [folder / name]
    found = [path for path in sorted(folder.glob("*.y*ml")) if _has_names(path)]
    return found or sorted(folder.glob("*.data"))


def _has_names(path: Path) -> bool:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.startswith("names:") for line in lines) and any(
        line.startswith("train:") for line in lines
    )


def is_yolo(path: Path) -> bool:
    """Whether `path` is a YOLO description or a folder that has one."""
    if path.is_dir():
        return bool(_descriptions(path))
    return path.suffix in (".yaml", ".yml", ".data")


def splits(path: Path) -> list[str]:
    """The parts its description names."""
    return list(describe(path).parts)
