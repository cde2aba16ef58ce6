"""What is written of what models find in pictures and videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from kzoo.sources import is_video
from kzoo.sources.image import save_picture
from kzoo.structures import Detections, RoadScene, Segmentation
from kzoo.structures.draw import encode_png
from kzoo.structures.labels import class_name
from kzoo.system.files import write_atomically

_PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        images: images and frames looked at.
        faults: files that could not be read, a line each.
        rows: a dict an image or frame: what the JSON file holds.
    """

    images: int = 0
    faults: list[str] = field(default_factory=list)
    rows: list[dict] = field(default_factory=list)


class Results:
    """The folder results are written to, by the names of their sources.

    Args:
        folder: takes annotated pictures and videos, and other files in folders of their own. Where sources lie in
            several folders, so do their results.
        sources: the images and videos that are going to be looked at.
        pictures: whether annotated pictures and videos are written.
        kinds: what else is written: "labels" (detections in YOLO's format with scores), "masks" (segmentations as PNG
            files of class indices; detections as such of the objects' numbers, from 1 in the order of their scores;
            scenes of roads as such of bits, 1 drivable, 2 a lane's line),
            "cutouts" (the subjects of segmentations on transparent ground; of detections a file an object), "lines" (a
            JSON line for each frame of a video, which is there beside an annotated video anyway), "mot" (tracks as
            MOTChallenge's text).

    Raises:
        ValueError: an annotated picture would replace its source.
    """

    def __init__(self, folder: Path, sources: list[Path], pictures: bool = True, kinds: Collection[str] = ()):
        places = [_absolute(path) for path in sources]
        base = places[0].parent
        while not all(place.is_relative_to(base) for place in places):
            base = base.parent
        self.folder, self.pictures, self.kinds = folder, pictures, frozenset(kinds)
        self._names = {path: place.relative_to(base) for path, place in zip(sources, places, strict=True)}
        self._stems = Counter(name.with_suffix("") for name in self._names.values())
        for path, place in zip(sources, places, strict=True):
            if pictures and _absolute(self.picture(path)) == place:
                raise ValueError(
                    f"{path}: its annotated copy would replace it; give another folder for results"
                )

    def picture(self, source: Path) -> Path:
        """Where the annotated copy of an image or video lies; a suffix is added where its own cannot be written."""
        name = self._names[source]
        known, default = ({".mp4"}, ".mp4") if is_video(source) else (_PICTURE_SUFFIXES, ".png")
        return self.folder / (name if name.suffix.lower() in known else f"{name}{default}")

    def lines(self, source: Path) -> Path:
        """Where the file lies that has a JSON line for each frame of a video."""
        return self.picture(source).with_suffix(".jsonl")

    def file(self, kind: str, source: Path, frame: int | None = None, number: int | None = None) -> Path:
        """Where a file of a kind lies, of an image or of a video's frame, or of one object there."""
        name = self._names[source]
        # As YOLO names it, unless a.jpg and a.png both are there.
        stem = name.with_suffix("") if self._stems[name.with_suffix("")] == 1 else name
        suffix = ".txt" if kind in ("labels", "mot") else ".png"
        frames = "" if frame is None else f"_{frame:06}"
        objects = "" if number is None else f"_{number:03}"
        return self.folder / kind / f"{stem}{frames}{objects}{suffix}"

    def write(self, result: Detections | Segmentation, frame: int | None = None) -> None:
        """Writes what is asked for of an image's result, or of that of a video's frame."""
        if self.pictures and frame is None:
            save_picture(self.picture(result.path), result.draw())
        if "labels" in self.kinds:
            write_atomically(self.file("labels", result.path, frame), label_lines(result))
        of_objects = isinstance(result, Detections)
        if "masks" in self.kinds:
            mask = result.mask if isinstance(result, (Segmentation, RoadScene)) else result.numbered_mask()
            write_atomically(self.file("masks", result.path, frame), encode_png(mask))
        if "cutouts" in self.kinds and not of_objects:
            write_atomically(self.file("cutouts", result.path, frame), encode_png(result.cutout()))
        if "cutouts" in self.kinds and of_objects:
            for number, piece in enumerate(result.cutouts(), 1):
                write_atomically(self.file("cutouts", result.path, frame, number), encode_png(piece))


class Tally:
    """What was found on all frames of a video: counts of objects, or mean shares of the pixels."""

    def __init__(self, names):
        self.names, self.frames = names, 0
        self._sums: Counter = Counter()  # by label: objects, or shares of the frames' pixels
        self._shares = False

    def add(self, result: Detections | Segmentation) -> None:
        """Counts the result of one more frame."""
        self.frames += 1
        self._shares = isinstance(result, Segmentation)
        if self._shares:
            shares = result.shares()
            shares.pop(result.background, None)
            self._sums.update(shares)
        else:
            self._sums.update(result.labels.tolist())

    def __str__(self) -> str:
        named = [(class_name(self.names, label), total) for label, total in self._sums.most_common()]
        if self._shares:
            entries = [f"{name} {100 * total / self.frames:.1f} %" for name, total in named]
        else:
            entries = [f"{total} {name}" for name, total in named]
        return ", ".join(entries) or "nothing"


def _absolute(path: Path) -> Path:
    """The path from the root, without `..`, its last part as it is even where it is a link."""
    return path.parent.resolve() / path.name


def label_lines(detections: Detections) -> str:
    """YOLO's label file with scores: "class x y width height score" a line, centre and size as shares of the image."""
    height, width = detections.image.shape[:2]
    lines = []
    rows = zip(detections.boxes, detections.labels, detections.scores, strict=True)
    for (x1, y1, x2, y2), label, score in rows:
        shares = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
        lines.append(f"{label} {' '.join(f'{share:.6f}' for share in shares)} {score:.6f}\n")
    return "".join(lines)


def mot_lines(detections: Detections, frame: int) -> str:
    """Lines of MOTChallenge's text: "frame,id,left,top,width,height,score,-1,-1,-1", each object that has an id.

    Args:
        detections: what was tracked.
        frame: the frame's number from 0; in the file frames, and pixels, count from 1.
    """
    lines = []
    for (x1, y1, x2, y2), score, number in zip(
        detections.boxes, detections.scores, detections.ids, strict=True
    ):
        if number > 0:
            corner = f"{x1 + 1:.2f},{y1 + 1:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
            lines.append(f"{frame + 1},{number},{corner},{score:.6f},-1,-1,-1\n")
    return "".join(lines)
