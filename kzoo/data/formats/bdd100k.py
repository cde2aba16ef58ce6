"""BDD100K: boxes of what is on the road in JSON, and masks of the drivable area and of the lanes' lines as PNG.

Yu et al. 2020, BDD100K: A Diverse Driving Dataset for Heterogeneous Multitask Learning, arXiv:1805.04687; the files are
those of its "Detection 2020", "Drivable Area" and "Lane Marking" packages.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np

from kzoo.data.dataset import Dataset
from kzoo.data.fault import Fault
from kzoo.data.formats.masks.levels import read_levels
from kzoo.data.formats.parsing import read_json
from kzoo.data.painting.mask_faults import refuse_size, stray_values, verified
from kzoo.data.parts import choose_split, order_splits
from kzoo.data.record import Record
from kzoo.options.kinds import shown
from kzoo.options.words import is_component
from kzoo.sources.finding import child_of, files_in
from kzoo.structures.roads import DRIVABLE, LANE
from kzoo.structures.targets import ROADS

# The categories of the boxes; YOLOP has those of the second as its one class.
CATEGORIES = (
    *("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
    *("traffic light", "traffic sign"),
)
VEHICLES = ("car", "truck", "bus", "train")
# What is neither to be found nor background, and the category that it is most like.
UNSURE = {"other person": "pedestrian", "other vehicle": "car", "trailer": "truck"}
_BACKGROUND = 2  # of a drivable mask, whose 0 is the own lane and 1 what may be driven on as well
_NO_LANE = 8  # the bit of a lane mask that is set where no line is; 255 has it, too
_CORNERS = ("x1", "y1", "x2", "y2")


class BDD100K(Dataset):
    """The folder with `images/100k/`, `labels/det_20/`, `labels/drivable/masks/` and `labels/lane/masks/`.

    Args:
        root: the folder.
        split: "train" or "val"; None for all.
        task: "drive" for cars of any kind, one class as YOLOP has them, and masks of roads; or "detect" for the boxes
            of all ten categories.

    Raises:
        ValueError: a file of boxes is no list of images, or there is no such split.

    Example:
        >>> BDD100K("bdd100k", "val").classes
        ['car']
    """

    format = "bdd100k"

    def __init__(self, root: str | Path, split: str | None = None, task: str = "drive"):
        root = Path(root)
        files = _files(root)
        if split is not None:
            split = choose_split(split, list(files), root)
            files = {split: files[split]}
        self.roads = task == "drive"
        super().__init__(root, split, ("car",) if self.roads else CATEGORIES)
        known = VEHICLES if self.roads else CATEGORIES
        self._label = {name: 0 if self.roads else label for label, name in enumerate(known)}
        self._faults: list[Fault] = []
        self._frames = [
            (part, file, number, frame)
            for part, file in files.items()
            for number, frame in enumerate(_frames(file))
            if self._is_sound(frame, file, number)
        ]

    def _is_sound(self, frame: dict, file: Path, number: int) -> bool:
        """Whether an entry names an image of its part's folder and has a list of boxes; what has not is told of."""
        name, rows = frame.get("name"), frame.get("labels")
        complaint = None
        if not isinstance(name, str) or not is_component(name):
            complaint = f"name {shown(name)} is no name of an image in images/100k"
        elif not isinstance(rows, (list, type(None))):
            complaint = f"labels {shown(rows)} are no list"
        if complaint is not None:
            self._faults.append(Fault(file, None, "malformed", f"[{number}]: {complaint}; it is passed over"))
        return complaint is None

    def problems(self) -> list[Fault]:
        """Entries that name no image."""
        return self._faults

    def __len__(self) -> int:
        return len(self._frames)

    def record(self, index: int) -> Record:
        part, file, number, frame = self._frames[self._position(index)]
        name = frame["name"]
        record = Record(
            self.root / "images" / "100k" / part / name,
            id=Path(name).stem,
            source=file,
            element=f"[{number}].labels",
        )
        if self.roads:
            record.mask = self._masks(record.id, part)[1]
        rows, lines, flags = [], [], []
        for line, row in enumerate(frame.get("labels") or ()):
            category = row.get("category") if isinstance(row, dict) else None
            category = category if isinstance(category, str) else shown(category)
            label = self._label.get(UNSURE.get(category, category))
            if label is None and category in (*CATEGORIES, *UNSURE):
                continue  # a box that this task does not ask for
            corners = _corners(row) if isinstance(row, dict) else None
            if label is None or corners is None:
                what = (
                    f"category {shown(category)} is none of BDD100K's"
                    if label is None
                    else "no box2d of four numbers"
                )
                record.problems.append(Fault(file, line, "malformed", what, element=record.element))
                continue
            rows.append((*corners, label))
            lines.append(line)
            attributes = row.get("attributes")
            crowd = isinstance(attributes, dict) and bool(attributes.get("crowd"))
            flags.append((category in UNSURE, crowd))
        table, flags = np.array(rows, np.float64).reshape(-1, 5), np.array(flags, bool).reshape(-1, 2)
        return dataclasses.replace(
            record,
            boxes=table[:, :4],
            labels=table[:, 4],
            difficult=flags[:, 0],
            crowd=flags[:, 1],
            lines=lines,
        )

    def mask_of(self, index: int, record: Record, size: tuple[int, int]) -> np.ndarray:
        drivable, lane = self._masks(record.id, self._frames[index][0])
        area, line = read_levels(drivable), read_levels(lane)  # (H, W) uint8 each
        for levels, file in ((area, drivable), (line, lane)):
            refuse_size(levels.shape, size, file)
        stray = area > _BACKGROUND
        if stray.any():
            raise stray_values(area, stray, _BACKGROUND + 1, drivable)
        mask = DRIVABLE * (area < _BACKGROUND) + LANE * (line & _NO_LANE == 0)
        return verified(mask.astype(np.uint8), size, ROADS, lane)

    def _masks(self, name: str, part: str) -> tuple[Path, Path]:
        """The files of an image's drivable area and of its lanes."""
        folder = self.root / "labels"
        return tuple(folder / kind / "masks" / part / f"{name}.png" for kind in ("drivable", "lane"))


def _frames(file: Path) -> list[dict]:
    """The images of a file of boxes."""
    content = read_json(file)
    if not isinstance(content, list) or not all(isinstance(frame, dict) for frame in content):
        raise ValueError(f"{file}: is no list of images with their boxes; take det_20 of BDD100K's labels")
    return content


def _corners(row: dict) -> list[float] | None:
    """x1, y1, x2, y2 of a row in pixels; None where they are no numbers."""
    box = row.get("box2d")
    values = [box.get(key) for key in _CORNERS] if isinstance(box, dict) else [None]
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return None
    try:
        return [float(value) for value in values]
    except OverflowError:  # hundreds of digits
        return None


def _files(root: Path) -> dict[str, Path]:
    """The files of boxes by their split, train and val first."""
    folder = child_of(child_of(root, "labels"), "det_20")
    found = {}
    for path in files_in(folder, {".json"}):
        if match := re.fullmatch(r"det_(.+)", path.stem):
            found[match[1]] = path
    return {name: found[name] for name in order_splits(found)}


def is_bdd100k(path: Path) -> bool:
    """Whether `path` is a folder of BDD100K's with boxes of its "Detection 2020"."""
    return path.is_dir() and bool(_files(path))


def splits(path: Path) -> list[str]:
    """The parts that there are boxes of."""
    return list(_files(path))
