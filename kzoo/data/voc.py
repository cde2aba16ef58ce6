"""Pascal VOC folders: `JPEGImages/`, `Annotations/` and `ImageSets/Main/`.

Everingham et al. 2010, The Pascal Visual Object Classes (VOC) Challenge: `xmin` ... `ymax` are pixels counted
from 1, both ends belonging to the box, so a box is (xmin - 1, ymin - 1, xmax, ymax) in kzoo's convention.
"""

from __future__ import annotations

import xml.sax
import xml.sax.handler
from collections.abc import Collection, Iterator
from pathlib import Path

import defusedxml
import defusedxml.sax
import numpy as np

from kzoo.data.dataset import Dataset, Fault, Record, choose_split, order_splits, read_names
from kzoo.data.finding import IMAGE_SUFFIXES

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class VOC(Dataset):
    """A Pascal VOC folder.

    Classes are the lines of `classes.txt` or `labels.txt` in the folder, or else the names in all annotations,
    sorted. A box with xmin = xmax is taken for a click, not for a strip of one pixel: it gets no width, and
    `kzoo data check` reports it.

    Args:
        root: the folder.
        split: a file of `ImageSets/Main` without its suffix; None for all annotated or listed images.
    """

    format = "voc"

    def __init__(self, root: str | Path, split: str | None = None):
        root = Path(root)
        self._annotations = root / "Annotations"
        self._images = _by_stem(root / "JPEGImages", IMAGE_SUFFIXES)
        annotated = _by_stem(self._annotations, {".xml"})
        self.splits = splits(root)
        known = self._images.keys() | annotated.keys()
        if split is None:
            listed = {name for part in self.splits for name in _listed(root, part, known)}
            self.ids = sorted(listed | annotated.keys())
        else:
            # Lists of one class, such as "cat_train", can be asked for but are not offered.
            exact = (root / "ImageSets" / "Main" / f"{split}.txt").is_file()
            split = split if exact else choose_split(split, self.splits, root)
            self.ids = list(_listed(root, split, known))
        self._parsed = {name: parse(path) for name, path in annotated.items()}
        classes = _classes(root) or sorted({name for item in self._parsed.values() for name in item.names})
        super().__init__(root, split, classes)
        self._label = {name: label for label, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.ids)

    def record(self, index: int) -> Record:
        name = self.ids[self._position(index)]
        path = self._images.get(name, self.root / "JPEGImages" / f"{name}.jpg")
        found = self._parsed.get(name)
        if found is None:
            source = self._annotations / f"{name}.xml"
            missing = Fault(
                source, None, "image-without-label", "no such annotation file; the image is listed"
            )
            return Record(path, id=name, problems=[missing])
        record = Record(
            path,
            np.array(found.boxes, np.float64),
            [self._label.get(name, -1) for name in found.names],
            found.difficult,
            found.crowd,
            id=name,
            source=found.path,
            lines=list(found.lines),
            size=found.size,
            problems=list(found.problems),
        )
        for box, label in enumerate(record.labels):
            if label < 0:
                message = f"class {found.names[box]!r} is not in the list of classes"
                record.problems.append(record.fault("unknown-class", message, box=box))
        return record

    def problems(self) -> list[Fault]:
        """Coordinates counted from 0; where all images are meant, those with no annotation and in no list."""
        faults = []
        if self.split is None:
            message = "no annotation file and in no list of ImageSets/Main: never used"
            unused = sorted(self._images.keys() - set(self.ids))
            faults = [Fault(self._images[name], None, "unused-image", message, "warning") for name in unused]
        parsed = [self._parsed[name] for name in self.ids if name in self._parsed]
        zeros = sum(min(box[:2]) == -1 for found in parsed for box in found.boxes)
        if zeros:
            message = (
                f"{zeros} boxes begin at pixel 0, but Pascal VOC counts from 1: all may be one pixel off"
            )
            faults.append(Fault(self._annotations, None, "zero-based", message, "warning"))
        return faults


class Annotation:
    """One annotation file: parallel lists for its objects, and what could not be read."""

    def __init__(self, path: Path):
        self.path = path
        self.names: list[str] = []
        self.boxes: list[tuple[float, float, float, float]] = []
        self.difficult: list[bool] = []
        self.crowd: list[bool] = []
        self.lines: list[int] = []
        self.size: tuple[int, int] | None = None
        self.problems: list[Fault] = []

    def complain(self, line: int | None, kind: str, message: str) -> None:
        self.problems.append(Fault(self.path, line, kind, message))

    def add(self, line: int, fields: dict[str, str]) -> None:
        """An `<object>` that began at `line`, as a flat dict of its elements' texts."""
        name = fields.get("name")
        if not name:
            return self.complain(line, "malformed", "an object without a name")
        missing = [corner for corner in _CORNERS if corner not in fields]
        if missing:
            return self.complain(line, "malformed", f"object {name!r} has no {', '.join(missing)}")
        texts = [fields[corner] for corner in _CORNERS]
        try:
            x1, y1, x2, y2 = (float(text) for text in texts)
        except ValueError:
            return self.complain(
                line, "malformed", f"box {' '.join(texts)} of object {name!r} is not four numbers"
            )
        # A box from a pixel to itself is a click without a drag: it gets no width.
        self.boxes.append((x1 - 1, y1 - 1, x2 - (x1 == x2), y2 - (y1 == y2)))
        self.names.append(name)
        self.difficult.append(fields.get("difficult") == "1")
        self.crowd.append(fields.get("crowd") == "1")
        self.lines.append(line)
        return None


class _Handler(xml.sax.handler.ContentHandler):
    """Collects size and objects; an object's `<part>`s, with names and boxes of their own, are passed over."""

    def __init__(self, found: Annotation):
        super().__init__()
        self.found = found
        self.path: list[str] = []
        self.text: list[str] = []
        self.fields: dict[str, str] = {}
        self.line = 0

    def setDocumentLocator(self, locator):
        self.locator = locator

    def startElement(self, name, attrs):
        self.path.append(name)
        self.text = []
        if self.path[1:] in (["object"], ["size"]):
            self.fields, self.line = {}, self.locator.getLineNumber()

    def characters(self, content):
        self.text.append(content)

    def endElement(self, name):
        inside, depth = self.path[1:2], len(self.path)
        if (inside == ["object"] and (depth == 3 or self.path[2:3] == ["bndbox"])) or inside == ["size"]:
            self.fields[name] = "".join(self.text).strip()
        self.text = []
        self.path.pop()
        if depth == 2 and name == "object":
            self.found.add(self.line, self.fields)
        elif depth == 2 and name == "size":
            height, width = self.fields.get("height", ""), self.fields.get("width", "")
            if height.isdecimal() and width.isdecimal() and int(height) and int(width):
                self.found.size = int(height), int(width)


def parse(path: str | Path) -> Annotation:
    """Reads an annotation file; what is wrong with it lies in the result's `problems`."""
    path = Path(path)
    found = Annotation(path)
    content = path.read_bytes()
    if not content.strip():
        found.complain(None, "empty-file", "an empty annotation file")
        return found
    try:
        defusedxml.sax.parseString(content, _Handler(found))
    except xml.sax.SAXParseException as error:
        found.complain(error.getLineNumber(), "unreadable-label", f"not XML: {error.getMessage()}")
    except defusedxml.DefusedXmlException as error:
        found.complain(None, "unreadable-label", f"refused XML: {' '.join(str(error).split())}")
    return found


def is_voc(path: Path) -> bool:
    """Whether `path` is a Pascal VOC folder, of boxes or of semantic masks."""
    masks = (path / "SegmentationClass").is_dir()
    return path.is_dir() and (has_boxes(path) or masks) and (path / "JPEGImages").is_dir()


def has_boxes(path: Path) -> bool:
    """Whether a Pascal VOC folder has boxes: those made for segmentation alone have none."""
    return (path / "Annotations").is_dir()


def splits(root: Path) -> list[str]:
    """The lists of `ImageSets/Main`, train, val and test first, without those of one class ("cat_train")."""
    names = []
    for path in sorted((root / "ImageSets" / "Main").glob("*.txt")):
        with path.open(encoding="utf-8") as file:
            first = next((line.split() for line in file if line.strip()), [])
        if not (len(first) == 2 and first[1] in ("-1", "0", "1")):
            names.append(path.stem)
    return order_splits(names)


def _listed(root: Path, split: str, known: Collection[str]) -> Iterator[str]:
    """The ids of a list. A line of a class's list has a flag after the id; ids may have spaces themselves."""
    path = root / "ImageSets" / "Main" / f"{split}.txt"
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        name, words = line.strip(), line.split()
        if words:
            flagged = len(words) == 2 and words[1] in ("-1", "0", "1") and name not in known
            yield words[0] if flagged else name


def _by_stem(folder: Path, suffixes) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes}


def _classes(root: Path) -> list[str] | None:
    for name in ("classes.txt", "labels.txt"):
        if (root / name).is_file():
            return read_names(root / name)
    return None
