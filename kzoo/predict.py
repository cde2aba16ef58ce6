"""Opening trained models, and running them over pictures and videos into a folder of results."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np

from kzoo.data.image import read_image
from kzoo.data.names import class_names
from kzoo.detect import DEFAULT_SCORE, Detector, detect, resize_of
from kzoo.draw import save_picture
from kzoo.files import write_atomically
from kzoo.progress import track
from kzoo.sources import Video, expand, is_video, writing_video
from kzoo.structures import Detections

_FORMS = "give a .keras file, a run folder, a .tflite or .onnx file, a SavedModel folder, or Darknet's .cfg"
_PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})


def load(
    path: str | Path,
    compile: bool = False,
    weights: str | Path | None = None,
    names: str | Path | Sequence[str] | None = None,
):
    """Opens a trained model, whatever form it is in.

    Args:
        path: a `.keras` file; a run folder, whose best model is taken; an export: a `.tflite` or `.onnx`
            file, a SavedModel folder, or a folder of its versions, of which the highest is taken; or a network
            of Darknet's, by its `.cfg`.
        compile: whether a `.keras` file's optimizer and its state are restored too.
        weights: of a `.cfg`, its `.weights`; the file of that name beside it where None.
        names: class names in the place of the model's own, or where they are: see `kzoo.data.names`.

    Returns:
        A `ZooModel`, or an export's runtime: both have `image_size`, `names`, `predict` and `detect`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: it is no model, or cannot be read.

    Example:
        >>> kzoo.load("runs/detect/cells").detect("blood.jpg")
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such model; {_FORMS}")
    if path.suffix == ".cfg":
        return _load_darknet(path, weights, names)
    if weights is not None:
        raise ValueError(f"{path}: has its weights inside; only a .cfg takes {weights} besides")
    return _renamed(_open(path, compile), names, path)


def _load_darknet(path: Path, weights, names):
    from kzoo import darknet

    beside = path.with_suffix(".weights")
    if weights is None and not beside.is_file():
        raise ValueError(
            f"{path}: a network without weights; give its .weights file as `weights` (--weights)"
        )
    return darknet.load(path, beside if weights is None else weights, names)


def _renamed(model, names, path: Path):
    """The model with other class names, if it has as many."""
    names = class_names(names)
    if names is None:
        return model
    known = len(model.names) or getattr(getattr(model, "head", None), "num_classes", len(names))
    if len(names) != known:
        raise ValueError(
            f"{path}: has {known} classes, not the {len(names)} that are named; give one name a class"
        )
    model.names = names
    return model


def _open(path: Path, compile: bool):
    found = _in_folder(path) if path.is_dir() else path
    if found.suffix == ".keras":
        return _load_keras(found, compile)
    if found.is_dir() or found.suffix in (".tflite", ".onnx"):
        from kzoo.deploy import open_export

        return open_export(found)
    if found.suffix == ".h5":
        raise ValueError(
            f"{path}: weights without their model; give them to kzoo.build(NAME, weights={str(path)!r})"
        )
    raise ValueError(f"{path}: not a model; {_FORMS}")


def _in_folder(folder: Path) -> Path:
    """The model a folder means: its best or last `.keras` file, or the SavedModel it is or holds."""
    for name in ("best.keras", "last.keras"):
        if (folder / name).is_file():
            return folder / name
    versions = [one for one in folder.iterdir() if one.name.isdigit()]
    for candidate in (folder, *sorted(versions, key=lambda one: int(one.name), reverse=True)):
        if (candidate / "saved_model.pb").is_file():
            return candidate
    raise ValueError(
        f"{folder}: neither best.keras nor last.keras nor saved_model.pb in this folder; {_FORMS}"
    )


def _load_keras(path: Path, compile: bool):
    import keras

    from kzoo.model import ZooModel
    from kzoo.registry import entry, list_models

    # Keras reads classes by name, and knows those of imported modules alone.
    modules = {entry(name).target.split(":")[0] for name in list_models()} | {"kzoo.layers.darknet"}
    for module in modules | ({"kzoo.training.schedules"} if compile else set()):
        importlib.import_module(module)
    try:
        model = keras.saving.load_model(path, compile=compile)
    except Exception as error:
        # Broken files fail in every way there is: zip, JSON, HDF5, types, shapes.
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(f"{path}: Keras cannot read this model; was it written whole? ({reason})") from error
    if not isinstance(model, ZooModel):
        raise ValueError(
            f"{path}: a {type(model).__name__} of Keras, not a model of kzoo; load it with Keras"
        )
    return model


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
        folder: takes annotated pictures and videos, and label files in `labels/`. Where sources lie in
            several folders, so do their results.
        sources: all that is going to be looked at.
        pictures: whether annotated pictures and videos are written.
        txt: whether YOLO label files with scores are.

    Raises:
        ValueError: an annotated picture would replace its source.
    """

    def __init__(self, folder: Path, sources: list[Path], pictures: bool = True, txt: bool = False):
        places = [_absolute(path) for path in sources]
        base = places[0].parent
        while not all(place.is_relative_to(base) for place in places):
            base = base.parent
        self.folder = folder
        self.pictures = pictures
        self.txt = txt
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

    def labels(self, source: Path, frame: int | None = None) -> Path:
        """Where the label file of an image or of a frame lies."""
        name = self._names[source]
        # As YOLO names it, unless a.jpg and a.png both are there.
        stem = name.with_suffix("") if self._stems[name.with_suffix("")] == 1 else name
        return self.folder / "labels" / (f"{stem}.txt" if frame is None else f"{stem}_{frame:06}.txt")

    def write(self, found: Detections, frame: int | None = None) -> None:
        """Writes what is asked for of an image, or the labels of a video's frame."""
        if self.pictures and frame is None:
            save_picture(self.picture(found.path), found.draw())
        if self.txt:
            write_atomically(self.labels(found.path, frame), label_lines(found))


def _absolute(path: Path) -> Path:
    """The path from the root, without `..`, its last part as it is even where it is a link."""
    return path.parent.resolve() / path.name


def label_lines(found: Detections) -> str:
    """YOLO's label file with scores: "class x y width height score" a line, centre and size as shares of the image."""
    height, width = found.image.shape[:2]
    lines = []
    for (x1, y1, x2, y2), label, score in zip(found.boxes, found.labels, found.scores, strict=True):
        shares = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
        lines.append(f"{label} {' '.join(f'{share:.6f}' for share in shares)} {score:.6f}\n")
    return "".join(lines)


def predict(
    detector: Detector,
    source,
    out: str | Path,
    score_threshold: float = DEFAULT_SCORE,
    batch_size: int = 1,
    pictures: bool = True,
    json: bool = False,
    txt: bool = False,
    say: Callable[[str], None] = print,
    resize: str | None = None,
) -> Outcome:
    """Looks at every image and video of a source, says what it found, and writes it down.

    Args:
        detector: what `load` gives.
        source: an image, a folder, a glob, a video file, or a list of these.
        out: the folder for results.
        score_threshold: what scores lower is left out.
        batch_size: images at once; an export of a fixed batch gets that many.
        pictures: whether annotated pictures and videos are written.
        json: whether `predictions.json` is written.
        txt: whether label files in YOLO's format, with scores, are written.
        say: takes a line an image: "street.jpg: 3 dog, 1 cat  (23.1 ms)".
        resize: how photographs become inputs: "letterbox", "stretch" or "darknet"; the detector's own where None.

    Returns:
        What was done. A file that cannot be read is said on stderr and counted among the faults; the others
        are done all the same.

    Raises:
        FileNotFoundError, ValueError: the source is nothing that can be looked at.
        OSError: results cannot be written.
    """
    paths, out, resize = expand(source), Path(out), resize_of(detector, resize)
    results = Results(out, paths, pictures, txt)
    size = getattr(detector, "batch_size", None) or batch_size
    outcome = Outcome()
    warm_up(detector, size)
    stills = _readable((path for path in paths if not is_video(path)), outcome)
    for batch in _chunks(stills, size):
        _predict_images(detector, batch, results, score_threshold, size, resize, say, outcome)
    for path in filter(is_video, paths):
        try:
            _predict_video(detector, Video(path), results, score_threshold, size, resize, say, outcome)
        except ValueError as error:
            _fault(error, outcome)
    if json:
        write_json(out / "predictions.json", detector, score_threshold, outcome)
    return outcome


def warm_up(detector: Detector, batch_size: int) -> None:
    """Runs a grey image, so that compiling the network is not counted as the first image's time."""
    detector.predict_on_batch(np.full((batch_size, *detector.image_size, 3), 114, np.uint8))


def _fault(error: Exception, outcome: Outcome) -> None:
    outcome.faults.append(str(error))
    print(f"error: {error}", file=sys.stderr)


def _readable(paths: Iterable[Path], outcome: Outcome) -> Iterator[tuple[Path, np.ndarray]]:
    for path in paths:
        try:
            yield path, read_image(path)
        except (ValueError, OSError) as error:
            _fault(error, outcome)


def _chunks(items: Iterable, size: int) -> Iterator[list]:
    items = iter(items)
    while chunk := list(islice(items, size)):
        yield chunk


def _timed(detector, images, score_threshold, size, resize) -> tuple[list[Detections], float]:
    """Detections, and milliseconds an image from pixels to boxes."""
    began = perf_counter()
    found = detect(detector, list(images), score_threshold, size, resize)
    return found, 1000 * (perf_counter() - began) / len(images)


def _predict_images(detector, batch, results, score_threshold, size, resize, say, outcome) -> None:
    found, milliseconds = _timed(detector, [image for _, image in batch], score_threshold, size, resize)
    for one, (path, _) in zip(found, batch, strict=True):
        one.path = path
        say(f"{path}: {one.summary() or 'nothing'}  ({milliseconds:.1f} ms)")
        results.write(one)
        outcome.images += 1
        outcome.rows.append({**one.to_dict(), "milliseconds": round(milliseconds, 2)})


def _predict_video(detector, video, results, score_threshold, size, resize, say, outcome) -> None:
    """As for images; the line at the end counts over all frames."""
    labels, milliseconds, frames = [], 0.0, 0
    target = results.picture(video.path)
    with writing_video(target, video.rate) if results.pictures else contextlib.nullcontext() as writer:
        for batch in _chunks(track(video, video.path.name, total=video.frames or None), size):
            found, taken = _timed(detector, batch, score_threshold, size, resize)
            milliseconds += taken * len(batch)
            for one in found:
                one.path = video.path
                if writer:
                    writer.write(one.draw())
                results.write(one, frames)
                labels.append(one.labels)
                outcome.rows.append({**one.to_dict(), "frame": frames, "milliseconds": round(taken, 2)})
                frames += 1
    outcome.images += frames
    every = np.concatenate(labels)
    total = Detections(np.zeros((len(every), 4)), np.ones(len(every)), every, names=detector.names)
    say(
        f"{video.path}: {frames} frames, {total.summary() or 'nothing'}  ({milliseconds / frames:.1f} ms a frame)"
    )


def write_json(path: Path, detector: Detector, score_threshold: float, outcome: Outcome) -> Path:
    """Everything found, as one JSON file."""
    content = {
        "names": list(detector.names),
        "score_threshold": score_threshold,
        "images": outcome.rows,
        "faults": outcome.faults,
    }
    return write_atomically(path, json.dumps(content, indent=1))
