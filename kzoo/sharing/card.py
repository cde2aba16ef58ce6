"""The card of a shared model: what it is, what it was trained on and how, what it scores, and how it is used."""

from __future__ import annotations

import json
import math
import re
import shlex
from dataclasses import dataclass, field

import yaml

from kzoo import __version__
from kzoo.model import ZooModel
from kzoo.options.training import TRAIN
from kzoo.registry import entry, list_models
from kzoo.sharing.training import UNNAMED, Training, quoted
from kzoo.system.messages import markdown_table, one_line
from kzoo.training.tasks import TASKS

# What the hub calls each task, and what a model of it does.
_PIPELINES = {
    "detect": "object-detection",
    "segment": "image-segmentation",
    "instance": "image-segmentation",
    "drive": "object-detection",
    "classify": "image-classification",
}
_DOES = {
    "detect": "finds objects of {} in photographs: boxes, scores and class names",
    "segment": "tells for each pixel of a photograph which of {} it is of",
    "instance": "finds objects of {} in photographs: boxes, masks, scores and class names",
    "drive": "finds objects of {} in photographs of roads, where one can drive, and the lanes' lines",
    "classify": "tells which of {} a photograph is of",
}
_FIGURES = {
    "val_map": "average precision, IoU .50:.95 (COCO's mAP)",
    "val_map50": "average precision, IoU .50 (mAP50)",
    "val_mean_iou": "mean IoU of the classes",
    "val_dice": "Dice",
    "val_boundary_f1": "boundary F1",
    "val_drivable_iou": "IoU of the drivable area",
    "val_lane_iou": "IoU of the lanes' lines",
}
_MARKS = re.compile(r"([\\`*_{}\[\]<>()#|~!&$])")  # what Markdown or HTML would read


@dataclass(frozen=True)
class Subject:
    """What a card is about.

    Attributes:
        title: what the model is called.
        place: what `kzoo.load` opens it by, such as "hf://USER/NAME".
        model: the model itself.
        training: what is known of its training; None where that is nothing.
        files: number of bytes of each file beside the card, by name.
        pictures: heading and name of each file that is a picture.
        licence: name of the weights' licence, as the hub has it; None where none is stated.
        notes: what the model is known to get wrong, in Markdown; None where nobody has written that down.
    """

    title: str
    place: str
    model: ZooModel
    training: Training | None = None
    files: dict[str, int] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    licence: str | None = None
    notes: str | None = None


def write_card(subject: Subject) -> str:
    """The card as Markdown, with what the hub reads of it as YAML before it.

    Args:
        subject: what it is about.
    """
    parts = [
        f"# {escaped(subject.title)}",
        _introduction(subject),
        *("## How to use it", _use(subject)),
        *("## What it is", _model(subject)),
        *("## What it was trained on", *_training(subject.training)),
        *("## Scores", *_scores(subject.training)),
        *(["## Pictures", *_pictures(subject.pictures)] if subject.pictures else []),
        *("## Known failures and limits", subject.notes or _no_notes(subject)),
        *(
            "## Files",
            markdown_table(("file", "bytes"), [(quoted(n), f"{s:,}") for n, s in subject.files.items()]),
        ),
        *("## Licence", _licence(subject.licence)),
    ]
    return f"---\n{_front_matter(subject)}---\n\n" + "\n\n".join(part.strip("\n") for part in parts) + "\n"


def escaped(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return _MARKS.sub(r"\\\1", one_line(text))


def _front_matter(subject: Subject) -> str:
    model, pipeline = subject.model, _PIPELINES[subject.model.task]
    content = {
        **({"license": subject.licence} if subject.licence else {}),
        "library_name": "keras",
        "pipeline_tag": pipeline,
        "tags": list(dict.fromkeys(["kzoo", pipeline, model.name])),
    }
    figures = _figures(subject.training)
    if figures:
        training = subject.training
        name = training.val or training.data or "unnamed"
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unnamed"
        dataset = {"name": name, "type": slug}
        if training.val is None:
            dataset["split"] = training.options.get("val_split", "val")
        metrics = [
            {"type": figure.removeprefix("val_"), "name": _FIGURES[figure], "value": value}
            for figure, value in figures.items()
        ]
        result = {"task": {"type": pipeline}, "dataset": dataset, "metrics": metrics}
        content["model-index"] = [{"name": subject.title, "results": [result]}]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _introduction(subject: Subject) -> str:
    model = subject.model
    count = model.head.num_classes
    of = _DOES[model.task].format(f"{count} class{'es' if count != 1 else ''}")
    return f"A model of kzoo, {quoted(model.name)}, that {of}."


def _use(subject: Subject) -> str:
    place, call = (
        subject.place,
        {"detect": "detect", "instance": "detect", "drive": "detect", "segment": "segment"},
    )
    verb = call.get(subject.model.task)
    lines = ["```python", "import kzoo", "", f"model = kzoo.load({json.dumps(place, ensure_ascii=False)})"]
    if verb is None:
        return "\n".join([*lines, "model.predict(images)  # (B, height, width, 3), RGB from 0 to 255", "```"])
    lines += [f'model.{verb}("photo.jpg").draw()  # results are in the photograph\'s own pixels', "```", ""]
    command = f"kzoo predict {shlex.quote(place)} photo.jpg"
    return "\n".join([*lines, "On the command line:", "", "```console", command, "```"])


def _model(subject: Subject) -> str:
    model = subject.model
    height, width = model.image_size
    paper = entry(model.name).paper if model.name in list_models() else None
    names = ", ".join(f"{number} {escaped(name)}" for number, name in enumerate(model.names))
    rows = [
        ("architecture", f"{quoted(model.name)}{f'; {escaped(paper)}' if paper else ''}"),
        ("parameters", f"{model.count_params():,}"),
        ("input", f"{height} x {width} pixels (height x width), RGB from 0 to 255; normalised inside"),
        ("photographs become inputs by", quoted(model.resize)),
        ("classes", f"{model.head.num_classes}{f': {names}' if names else ', without names'}"),
        ("written by", f"kzoo {__version__}"),
    ]
    return markdown_table(("", ""), rows)


def _training(training: Training | None) -> list[str]:
    if training is None:
        return ["That was not recorded where the model lay."]
    data = quoted(training.data) if training.data else UNNAMED
    part = training.options.get("split")
    of = f", its part {quoted(part)}" if part else ""
    language, command = training.command
    needs = ", with the author's dataset at hand" if "" in (training.data, training.val) else ""
    told = [
        f"On {data}{of}: {training.epochs} epoch{'s' * (training.epochs > 1)}, of which the model is that after epoch "
        f"{training.best['epoch']:g}.",
        f"Such a model is trained by{needs}:",
        f"```{language}\n{command}\n```",
    ]
    if training.options:
        rows = [
            (quoted(name), _cell(quoted(str(value))), escaped(TRAIN[name].help))
            for name, value in training.options.items()
        ]
        told += ["What differs from kzoo's defaults:", markdown_table(("option", "value", "meaning"), rows)]
    return told


def _figures(training: Training | None) -> dict[str, float]:
    """The figures of the task that are numbers, by their names in `results.csv`."""
    best = {} if training is None else training.best
    known = [name for task in TASKS.values() for name in task.figures]
    return {name: best[name] for name in known if math.isfinite(best.get(name, math.nan))}


def _scores(training: Training | None) -> list[str]:
    figures = _figures(training)
    if not figures:
        return ["None were measured: there were no images, or no objects, to validate it on."]
    rows = [(_FIGURES[name], f"{value:.3f}") for name, value in figures.items()]
    return [
        f"Of {training.validation}, after epoch {training.best['epoch']:g}, measured by `kzoo train`. The epoch was "
        "chosen by them, so they flatter a little; on other images look for yourself with `kzoo evaluate`.",
        markdown_table(("figure", "value"), rows),
    ]


def _pictures(pictures: dict[str, str]) -> list[str]:
    return [part for title, file in pictures.items() for part in (f"{title}:", f"![{title}]({file})")]


def _no_notes(subject: Subject) -> str:
    errors = " --errors" if subject.model.task == "detect" else ""
    command = f"kzoo evaluate {shlex.quote(subject.place)} --data PATH{errors}"
    return (
        "Nobody has written any down. It knows the classes above and no others, and was made for images like those "
        f"that it was trained on. Before you rely on it, measure it on your own:\n\n```console\n{command}\n```"
    )


def _licence(licence: str | None) -> str:
    if licence is None:
        return "The author has not stated one: ask before you use the weights."
    return f"{quoted(licence)}, of the weights."


def _cell(text: str) -> str:
    """A piece of Markdown inside a table, where a bar would end the cell."""
    return text.replace("|", r"\|")
