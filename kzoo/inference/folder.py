"""Running models over pictures and videos into a folder of results."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from kzoo.inference.asked import batch_size_of, refuse_idle_inference
from kzoo.inference.detect import (
    DEFAULT_SCORE,
    Detector,
    detect,
    resize_of,
    with_nms,
)
from kzoo.inference.looks import Looks
from kzoo.inference.results import Outcome, Results
from kzoo.inference.segment import Inference, Segmenter, segment_stream
from kzoo.inference.tracking import score_to_track
from kzoo.inference.video import Following, predict_video
from kzoo.inference.window import Window
from kzoo.options import checked
from kzoo.options.commands import PREDICT
from kzoo.sources import Stream, Video, chunks, expand, is_live, is_video
from kzoo.sources.image import check_bits, oddities, read_image
from kzoo.structures import Segmentation
from kzoo.system.files import write_atomically
from kzoo.system.messages import one_line, printable


@checked(PREDICT)
def predict(
    model: Detector | Segmenter,
    source,
    out: str | Path,
    score_threshold: float | None = None,
    batch_size: int | None = None,
    pictures: bool = True,
    json: bool = False,
    kinds: Collection[str] = (),
    say: Callable[[str], None] = print,
    resize: str | None = None,
    method: str | None = None,
    overlap: int | None = None,
    flips: Sequence[str] = (),
    sizes: Sequence | None = None,
    nms: str | None = None,
    bits: int | None = None,
    track: bool = False,
    tracker: str | None = None,
    line: Sequence | None = None,
    zone: Sequence | None = None,
    show: bool = False,
) -> Outcome:
    """Looks at every image and video of a source, says what it found, and writes it down.

    Args:
        model: what `kzoo.load` gives.
        source: an image, a folder, a glob, a video file, or a list of these; or a camera's number, the address of a
            stream, or a pipe, see `kzoo.sources.live.Stream`.
        out: the folder for results.
        score_threshold: score below which a detector's boxes are left out, 0 to 1; 0.25 where None.
        batch_size: number of images that the model gets at once; where None 1, or as many as an export takes.
        pictures: whether annotated pictures and videos are written.
        json: whether `predictions.json` is written.
        kinds: what else is written: "labels" of detectors, "masks" and "cutouts" of models that find masks, see
            `kzoo.inference.results.Results`.
        say: a function that takes a line for each image: "street.jpg: 3 dog, 1 cat  (23.1 ms)".
        resize: how photographs become inputs: one of `kzoo.augment.RESIZES`; the model's own where None.
        method, overlap, flips: how images go through a segmenter: see `kzoo.inference.segment.Inference`; or how a
            detector looks at them: see `kzoo.inference.looks.Looks`.
        sizes: heights and widths of inputs that a detector's results are averaged over; its own alone by default.
        nms: how a detector suppresses boxes that overlap: one of `kzoo.ops.nms.KINDS`; the model's own way where None.
        bits: number of bits that 16-bit images use, 8 to 16; all where None.
        track: whether the objects of each video get identities.
        tracker: how: "bytetrack", which is taken where None, or "sort".
        line: two points x, y in pixels of the line across which tracked objects are counted; none where None.
        zone: corners x, y in pixels of the zone in which tracked objects are counted; none where None.
        show: whether the frames of videos are shown in a window as they come.

    Returns:
        What was done. A file that cannot be read is said on stderr and counted among the faults; the others
        are done all the same.

    Raises:
        FileNotFoundError, ValueError: the source is nothing that can be looked at, or an option is for other models.
        OSError: results cannot be written.
    """
    check_bits(bits)
    stream = Stream(source) if is_live(source) else None
    paths, out = expand(source) if stream is None else [stream.path], Path(out)
    _refuse_pictures_alone(paths, {"track": track, "show": show})
    model = with_nms(model, nms)
    size = batch_size_of(model, batch_size, 1)
    options = {"score_threshold": score_threshold, "method": method, "overlap": overlap, "flips": flips}
    options |= {"sizes": sizes, "track": track, "tracker": tracker, "line": line, "zone": zone}
    refuse_idle_inference(model, PREDICT, {**options, "resize": resize})
    score_threshold = DEFAULT_SCORE if score_threshold is None else score_threshold
    if "mot" in kinds and not track:
        raise ValueError("mot: has no effect without track; give track, too, or leave it out")
    way = {"method": method or "resize", "overlap": overlap, "flips": tuple(flips)}
    find = finder(model, kinds, size, resize, score_threshold, way, sizes)
    # Trackers go on through detections that score less than what is asked for.
    seen = partial(find, score_threshold=score_to_track(score_threshold)) if track else find
    kinds = [*kinds, "lines"] if json else kinds
    results, outcome = Results(out, paths, pictures, kinds), Outcome()
    with contextlib.closing(Window("kzoo")) if show else contextlib.nullcontext() as window:
        following = Following(tracker or "bytetrack" if track else None, score_threshold, line, zone, window)
        warm_up(model, size)
        stills = _readable((path for path in paths if not is_video(path)), outcome, bits)
        for batch in chunks(stills, size):
            _predict_images(find, batch, results, say, outcome)
        for path in filter(is_video, paths):
            try:
                video = Video(path) if stream is None else stream
                predict_video(seen, video, size, model.names, results, say, outcome, following)
            except ValueError as error:
                _fault(error, outcome)
            if window is not None and not window.open:
                break
    if json:
        write_json(out / "predictions.json", model, score_threshold, outcome)
    return outcome


def finder(model, kinds, size: int, resize: str | None, threshold: float, way: dict, sizes) -> Callable:
    """The function that finds what is in images: as `detect`, or for segmenters as `segment`."""
    task = getattr(model, "task", "detect")
    if task == "segment":
        _refuse_kinds(model, kinds, "labels")
        return partial(_segment, model, Inference(**way, resize=resize, batch_size=size), "cutouts" in kinds)
    # Of roads there is a mask, of bits, and nothing to cut out.
    not_written = {"instance": (), "drive": ("cutouts",)}
    _refuse_kinds(model, kinds, *not_written.get(task, ("masks", "cutouts")))
    looks = {**way, "sizes": sizes}
    Looks(**looks).check(model)
    return partial(
        detect, model, score_threshold=threshold, batch_size=size, resize=resize_of(model, resize), **looks
    )


def _refuse_pictures_alone(paths: Sequence[Path], options: dict[str, bool]) -> None:
    """Refuses what has an effect on videos alone, where there is none."""
    for name, wanted in options.items():
        if wanted and not any(map(is_video, paths)):
            raise ValueError(f"{name}=True: {paths[0]} is no video; give one, or leave {name} out")


def _segment(model, inference: Inference, probabilities: bool, images: list) -> list[Segmentation]:
    """As `detect` for segmenters: with its first arguments given, it takes images alone."""
    return list(segment_stream(model, images, inference, probabilities))


def _refuse_kinds(model, kinds: Collection[str], *others: str) -> None:
    """Refuses kinds of files that models of another task write."""
    for kind in others:
        if kind in kinds:
            raise ValueError(
                f"{model.name}: a model for the task {model.task!r} writes no {kind}; leave them out"
            )


def warm_up(model: Detector | Segmenter, batch_size: int) -> None:
    """Runs a grey image, so that compiling the network is not counted as the first image's time."""
    model.predict_on_batch(np.full((batch_size, *model.image_size, 3), 114, np.uint8))


def _fault(error: Exception, outcome: Outcome) -> None:
    """Tells of a file that cannot be read, and counts it."""
    outcome.faults.append(str(error))
    print(f"error: {printable(str(error))}", file=sys.stderr)


def _readable(paths: Iterable[Path], outcome: Outcome, bits: int | None) -> Iterator[tuple[Path, np.ndarray]]:
    """The images (H, W, 3) that can be read, with their paths."""
    for path in paths:
        try:
            image = read_image(path, bits)
            for _, message in oddities(path, bits):
                print(f"warning: {one_line(path)}: {message}", file=sys.stderr)
            yield path, image
        except (ValueError, OSError) as error:
            _fault(error, outcome)


def _timed(find: Callable, images) -> tuple[list, float]:
    """The result of each image, and milliseconds an image."""
    began = perf_counter()
    results = find(list(images))
    return results, 1000 * (perf_counter() - began) / len(images)


def _predict_images(find: Callable, batch, folder: Results, say, outcome: Outcome) -> None:
    """Says and writes what is found on each image of a batch of (path, image)."""
    results, milliseconds = _timed(find, [image for _, image in batch])
    for result, (path, _) in zip(results, batch, strict=True):
        result.path = path
        say(f"{one_line(path)}: {result.summary() or 'nothing'}  ({milliseconds:.1f} ms)")
        folder.write(result)
        outcome.images += 1
        outcome.rows.append({**result.to_dict(), "milliseconds": round(milliseconds, 2)})


def write_json(path: Path, model: Detector | Segmenter, score_threshold: float, outcome: Outcome) -> Path:
    """Writes all results as one JSON file."""
    content = {
        "names": list(model.names),
        "score_threshold": score_threshold,
        "images": outcome.rows,
        "faults": outcome.faults,
    }
    return write_atomically(path, json.dumps(content, indent=1))
