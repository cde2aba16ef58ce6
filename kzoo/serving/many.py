"""`kzoo predict --ray`: pictures of any number by workers of Ray Data, a line of JSON each, and each exactly once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from kzoo.inference.asked import batch_size_of, refuse_idle_inference
from kzoo.inference.detect import DEFAULT_SCORE, with_nms
from kzoo.inference.folder import finder
from kzoo.inference.results import Outcome, Results
from kzoo.options.commands import PREDICT
from kzoo.sources import chunks, expand, is_live, is_video
from kzoo.sources.image import check_bits, read_image
from kzoo.system.messages import one_line
from kzoo.system.ray import cluster, import_ray
from kzoo.weights.opening import load

LINES = "predictions.jsonl"


def predict_on_ray(
    model: str | Path,
    source,
    out: str | Path,
    workers: int = 2,
    pictures: bool = False,
    kinds: Collection[str] = (),
    say: Callable[[str], None] = print,
    **options,
) -> Outcome:
    """Looks at every image of a source by workers of Ray's, and writes a line for each into `predictions.jsonl`.

    Lines are written here alone, one when a result arrives, whoever found it and however often it was looked for: a
    worker that is lost costs time and no line. Pictures that have a line already are left out, so that the same call
    goes on where an earlier one was stopped.

    Args:
        model: what `kzoo.load` takes, at the same place on every machine.
        source: images, folders and globs, at the same place on every machine.
        out: the folder for results.
        workers: number of workers, each with the model in its memory, 2 by default.
        pictures: whether annotated pictures are written, too, by the workers; not by default.
        kinds: what else they write: see `kzoo.inference.results.Results`.
        say: a function that takes a line for each image.
        **options: arguments of `kzoo.inference.folder.predict`, such as `score_threshold` and `batch_size`, and
            `weights` and `names` of a Darknet cfg.

    Raises:
        ImportError: Ray is not installed.
        FileNotFoundError, ValueError: the source has no images, or an option is for other models.

    Example:
        >>> predict_on_ray("cells", "images/**", "runs/predict/cells", workers=4).images
    """
    ray = import_ray()
    check_bits(options.get("bits"))
    paths = _stills(source)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    asked = {
        "model": str(model),
        "paths": paths,
        "out": str(out.absolute()),
        "pictures": pictures,
        "kinds": list(kinds),
    }
    file, outcome = out / LINES, Outcome()
    answered = _answered(file)
    left = [path for path in paths if path not in answered]
    if len(left) < len(paths):
        say(f"{file}: has {len(paths) - len(left)} of {len(paths)} images already")
    if not left:
        return outcome
    size = options.get("batch_size") or 1
    with cluster(workers), file.open("a", encoding="utf-8") as lines:
        ray.data.DataContext.get_current().enable_progress_bars = False  # a line an image says as much
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        each = {"num_gpus": 1} if ray.cluster_resources().get("GPU") else {"num_cpus": 1}
        rows = ray.data.from_items(
            [{"path": path} for path in left], override_num_blocks=_blocks(len(left), workers)
        )
        found = rows.map_batches(
            Finder,
            fn_constructor_kwargs={"asked": asked, "options": options},
            batch_size=size,
            concurrency=workers,
            **each,
        )
        try:
            for row in found.iter_rows():
                _keep(json.loads(row["line"]), row["line"], lines, outcome, say)
        except ray.exceptions.RayError as error:
            raise ValueError(f"{model}: the workers of Ray failed: {_reason(error)}") from error
    return outcome


def _stills(source) -> list[str]:
    """Absolute paths of the images, each once.

    Raises:
        ValueError: there are cameras or videos among them.
    """
    found = source if isinstance(source, (list, tuple)) else [source]
    others = [one for one in found if is_live(one)]
    paths = [] if others else expand(source)
    others += [path for path in paths if is_video(path)]
    if others:
        raise ValueError(f"{others[0]}: Ray's workers look at images alone; leave --ray out")
    return list(dict.fromkeys(str(path.absolute()) for path in paths))


def _blocks(count: int, workers: int) -> int:
    """Parts that the images are dealt out in: so many that a worker that is lost, or is slow, costs little."""
    return min(count, 8 * workers)


def _answered(file: Path) -> set[str]:
    """The images that have a line; one that was cut off in the middle of its writing is taken out.

    Raises:
        ValueError: the file holds something else.
    """
    if not file.is_file():
        return set()
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with file.open("r+b") as cut:
            cut.truncate(len(whole))
    answered = set()
    for number, line in enumerate(whole.decode(errors="replace").splitlines(), 1):
        try:
            answered.add(json.loads(line)["source"])
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{file}:{number}: no line of kzoo predict --ray; give another --out") from None
    return answered


def _keep(row: Mapping[str, Any], line: str, lines, outcome: Outcome, say: Callable[[str], None]) -> None:
    """Writes a line, and says what it is of."""
    lines.write(f"{line}\n")
    lines.flush()
    if "fault" in row:
        outcome.faults.append(row["fault"])
        say(f"error: {one_line(row['fault'])}")
        return
    outcome.images += 1
    outcome.rows.append(dict(row))
    say(f"{one_line(row['source'])}: {row['summary'] or 'nothing'}")


def _reason(error: Exception) -> str:
    """The last line of what Ray tells as a page."""
    told = [line.strip() for line in str(error).splitlines() if line.strip()]
    return told[-1] if told else type(error).__name__


class Finder:
    """What one worker does: it opens the model once, and looks at batches of pictures.

    Args:
        asked: model, paths of all images, folder of results, and what is written there.
        options: arguments of `kzoo.inference.folder.predict`.
    """

    def __init__(self, asked: Mapping[str, Any], options: Mapping[str, Any]):
        options = dict(options)
        model = load(asked["model"], weights=options.pop("weights", None), names=options.pop("names", None))
        model = with_nms(model, options.pop("nms", None))
        self.bits = options.pop("bits", None)
        threshold, size = (
            options.pop("score_threshold", None),
            batch_size_of(model, options.pop("batch_size", None), 1),
        )
        refuse_idle_inference(model, PREDICT, {"score_threshold": threshold, **options})
        way = {
            "method": options.get("method") or "resize",
            "overlap": options.get("overlap"),
            "flips": tuple(options.get("flips") or ()),
        }
        threshold = DEFAULT_SCORE if threshold is None else threshold
        self.size, kinds = size, asked["kinds"]
        self.find = finder(model, kinds, size, options.get("resize"), threshold, way, options.get("sizes"))
        sources = [Path(path) for path in asked["paths"]]
        self.results = Results(Path(asked["out"]), sources, asked["pictures"], kinds)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        lines, images = {}, []
        for path in map(str, batch["path"]):
            try:
                images.append((path, read_image(Path(path), self.bits)))
            except (ValueError, OSError) as error:
                lines[path] = {"source": path, "fault": str(error)}
        for part in chunks(images, self.size):
            for (path, _), result in zip(part, self.find([image for _, image in part]), strict=True):
                result.path = Path(path)
                self.results.write(result)
                lines[path] = {"source": path, "summary": result.summary(), **result.to_dict()}
        return {"line": [json.dumps(lines[path]) for path in map(str, batch["path"])]}


def refuse_idle_on_ray(options: Mapping[str, Any]) -> None:
    """Refuses options of `kzoo predict` that Ray's workers do not heed.

    Args:
        options: names and values, false where they were not given.

    Raises:
        ValueError: one was given.
    """
    given: Sequence[str] = [name for name, value in options.items() if value]
    if given:
        raise ValueError(
            f"--{given[0].replace('_', '-')}: has no effect with --ray, which writes {LINES}; leave one of them out"
        )
