"""`kzoo evaluate`: how good a model or an exported file is on a dataset."""

from __future__ import annotations

from pathlib import Path

import typer

from kzoo.cli.options import (
    Bits,
    Flips,
    Method,
    Model,
    Names,
    Nms,
    Overlap,
    Resize,
    Weights,
    json_switch,
    parameter,
    set_options,
)
from kzoo.options.commands import EVALUATE

Out = parameter(
    EVALUATE["out"].but(
        help="The folder to write metrics.json, confusion.png and, for detectors, precision_recall.png to; with "
        "--errors also errors.html and its pictures.",
        otherwise="nothing is written",
    )
)


def evaluate(
    model: Model,
    data: parameter(EVALUATE["data"]),
    split: parameter(EVALUATE["split"]) = None,
    json: json_switch("the figures") = False,
    out: Out = None,
    image_size: parameter(EVALUATE["image_size"]) = None,
    batch_size: parameter(
        EVALUATE["batch_size"].but(otherwise="16, or as many as an export takes", none=True)
    ) = None,
    limit: parameter(EVALUATE["limit"]) = None,
    skip_faulty: parameter(EVALUATE["skip_faulty"], "--skip-faulty") = False,
    rectangular: parameter(EVALUATE["rectangular"], "--rectangular") = False,
    errors: parameter(EVALUATE["errors"], "--errors") = False,
    bits: Bits = None,
    resize: Resize = None,
    nms: Nms = None,
    method: Method = None,
    overlap: Overlap = None,
    flips: Flips = None,
    weights: Weights = None,
    names: Names = None,
):
    """Measure average precision of boxes (COCO's and Pascal VOC's) and their masks, or IoU, Dice and boundary F1.

    Of roads IoU of the drivable area and of the lanes' lines, too.
    """
    from time import perf_counter

    from kzoo import evaluation
    from kzoo.data.checks.check import require_sound
    from kzoo.weights.opening import load

    opened = load(model, weights=weights, names=names)
    dataset = evaluation.open_split(data, split, evaluation.data_task(opened), **set_options(bits=bits))
    start = perf_counter()
    if skip_faulty:
        dataset = require_sound(dataset, skip_faulty=True)
    metrics = evaluation.evaluate(
        opened,
        dataset,
        errors=errors,
        rectangular=rectangular,
        **set_options(batch_size=batch_size, image_size=image_size, limit=limit, resize=resize, nms=nms),
        **set_options(method=method, overlap=overlap, flips=flips),
    )
    seconds = round(perf_counter() - start, 2)
    subject = {"model": model, "data": data, "split": dataset.split, "seconds": seconds}
    semantic = evaluation.data_task(opened) == "segment"
    if out is not None:
        _write(out, subject, metrics, semantic)
        if errors:
            evaluation.write_error_page(metrics, dataset, out)
    if json:
        typer.echo(_json({**subject, **metrics.to_dict()}))
    else:
        _show(subject, metrics, semantic, errors, out)


def _show(subject: dict, metrics, semantic: bool, errors: bool, out: Path | None) -> None:
    """Tables, and where the rest is."""
    from rich.console import Console

    console = Console(highlight=False)
    (_print_masks if semantic else _print)(console, subject, metrics)
    if errors:
        console.print(_errors(metrics.errors))
    if out is not None:
        page = ", errors.html" if errors else ""
        console.print(f"metrics.json{page} and pictures written to {out}", markup=False)


def _write(out: Path, subject: dict, metrics, semantic: bool) -> None:
    """The figures as a file, and as pictures."""
    from kzoo.metrics import plot_confusion, plot_precision_recall
    from kzoo.system.files import write_atomically

    figures = metrics.to_dict() if semantic else metrics.to_dict(curves=True)
    write_atomically(out / "metrics.json", _json({**subject, **figures}))
    plot_confusion(metrics, out / "confusion.png")
    if not semantic:
        plot_precision_recall(metrics, out / "precision_recall.png")


def _json(content: dict) -> str:
    import json

    return json.dumps(content, indent=2)


def _print(console, subject: dict, metrics) -> None:
    """A detector's figures."""
    console.print(
        f"{_title(subject)}: {metrics.images} images, {metrics.objects} objects, {subject['seconds']:.1f} s",
        markup=False,
    )
    if metrics.discarded:
        console.print(
            f"{metrics.discarded} detections were not finite numbers and were left out", style="yellow"
        )
    console.print(_overall(metrics))
    console.print(_by_class(metrics))
    if metrics.roads is not None:
        console.print(_roads(metrics.roads))


def _roads(roads):
    """A row each for the drivable area and the lanes' lines."""
    from rich.table import Table

    table = Table(title="roads, over all pixels", title_justify="left")
    table.add_column("map")
    for column in ("pixels", "IoU", "mean IoU", "recall", "precision"):
        table.add_column(column, justify="right")
    for name, row in (("drivable area", roads.drivable), ("lanes' lines", roads.lanes)):
        figures = (row.iou, row.mean_iou, row.recall, row.precision)
        table.add_row(name, f"{row.pixels:,}", *map(_figure, figures))
    return table


def _print_masks(console, subject: dict, metrics) -> None:
    """A segmenter's figures."""
    from rich.markup import escape
    from rich.table import Table

    console.print(f"{_title(subject)}: {metrics.images} images, {subject['seconds']:.1f} s", markup=False)
    overall = Table("over all pixels", "", "mean over images or classes", "", title_justify="left")
    rows = [
        ("mean IoU", metrics.mean_iou, "Dice by image", metrics.image_dice),
        ("Dice", metrics.dice, "IoU by image", metrics.image_iou),
        ("pixel accuracy", metrics.pixel_accuracy, "mean accuracy", metrics.mean_accuracy),
        ("frequency-weighted IoU", metrics.frequency_weighted_iou, "boundary F1", metrics.boundary_f1),
    ]
    for left, value, right, other in rows:
        overall.add_row(left, _figure(value), right, _figure(other))
    console.print(overall)
    table = Table(title="by class", title_justify="left")
    table.add_column("class")
    for column in ("pixels", "share", "IoU", "Dice", "recall", "precision", "boundary F1"):
        table.add_column(column, justify="right")
    for row in metrics.per_class:
        figures = (row.share, row.iou, row.dice, row.recall, row.precision, row.boundary_f1)
        table.add_row(escape(row.name), f"{row.pixels:,}", *map(_figure, figures))
    console.print(table)


def _title(subject: dict) -> str:
    part = f", split {subject['split']}" if subject["split"] else ", all of it"
    return f"{subject['model']} on {subject['data']}{part}"


def _overall(metrics):
    """COCO's twelve figures, of boxes and of masks where there are some, and Pascal VOC's two."""
    from rich.table import Table

    masks = metrics.masks
    kinds = {"boxes": metrics.coco}
    if masks is not None:
        kinds |= {"masks": masks.coco, "boundaries": masks.boundary}
    table = Table(title="COCO and Pascal VOC", title_justify="left")
    for heading in ("average precision", "average recall"):
        table.add_column(heading)
        for kind in kinds:
            table.add_column(kind if masks is not None else "", justify="right")
    rows = [
        ("IoU .50:.95", "map", "1 detection an image", "ar_1"),
        ("IoU .50", "map50", "10 detections", "ar_10"),
        ("IoU .75", "map75", "100 detections", "ar_100"),
        ("small, up to 32x32", "map_small", "small", "ar_small"),
        ("medium, up to 96x96", "map_medium", "medium", "ar_medium"),
        ("large", "map_large", "large", "ar_large"),
    ]
    for precision, name, recall, recall_name in rows:
        left, right = ([_figure(coco[one]) for coco in kinds.values()] for one in (name, recall_name))
        table.add_row(precision, *left, recall, *right)
    table.add_section()
    table.add_row("VOC, all points", _figure(metrics.voc_ap_all))
    table.add_row("VOC 2007, 11 points", _figure(metrics.voc_ap_11point))
    return table


def _by_class(metrics):
    """A row a class: its average precisions, and what holds at the score of its best F1."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="by class; precision and recall at the score of the best F1", title_justify="left")
    table.add_column("class")
    of_masks = [] if metrics.masks is None else ["mask AP", "mask AP50", "boundary AP"]
    for column in ("objects", "AP", "AP50", "VOC", "precision", "recall", "F1", "score", *of_masks):
        table.add_column(column, justify="right")
    for label, row in enumerate(metrics.per_class):
        figures = [row.ap, row.ap50, row.voc_ap_all, row.precision, row.recall, row.f1, row.score]
        if metrics.masks is not None:
            masks = metrics.masks.per_class[label]
            figures += [masks.ap, masks.ap50, masks.boundary_ap]
        table.add_row(escape(row.name), str(row.objects), *map(_figure, figures))
    return table


def _errors(errors):
    """A row a kind of error, and what false positives and false negatives cost all together."""
    from rich.table import Table

    from kzoo.metrics.errors import KINDS

    table = Table(
        title=f"what is wrong, and what it costs; mAP50 is {_figure(errors.map50)}", title_justify="left"
    )
    table.add_column("error")
    for column in ("all", f"score {errors.score:g}", "mAP50 cost"):
        table.add_column(column, justify="right")
    table.add_column("")
    for row in errors.kinds:
        counts = (f"{row.count:,}", f"{row.count_at_score:,}")
        table.add_row(row.kind, *counts, _figure(row.cost), KINDS[row.kind])
    table.add_section()
    table.add_row("false positives", "", "", _figure(errors.false_positives), "every wrong detection")
    table.add_row("false negatives", "", "", _figure(errors.false_negatives), "every object not found")
    return table


def _figure(value: float) -> str:
    """Three decimals; a dash for what is not a number, such as the recall of a class without an object."""
    return "-" if value != value else f"{value:.3f}"
