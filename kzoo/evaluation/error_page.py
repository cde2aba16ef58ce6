"""A page of what a detector gets wrong: the table, the chart, and the worst images."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from kzoo.metrics.detection import DetectionMetrics
from kzoo.metrics.error_analysis import ErrorAnalysis, ImageErrors
from kzoo.metrics.error_pictures import (
    COLORS,
    LEFT_OUT_COLOR,
    RIGHT_COLOR,
    TRUTH_COLOR,
    draw_errors,
)
from kzoo.metrics.errors import KINDS
from kzoo.metrics.plots import plot_errors
from kzoo.sources.image import save_picture
from kzoo.system.files import replacing, write_atomically

WORST = 16
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1500px; padding: 0 1em;
       color: #222; background: #fff }
table { border-collapse: collapse } td, th { padding: .25em .9em .25em 0; text-align: left }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.top { display: flex; flex-wrap: wrap; gap: 3em; align-items: center } .top img { max-width: 640px; width: 100% }
.box { display: inline-block; width: 1.7em; height: .8em; margin-right: .4em; border: 3px solid; background: #777;
       vertical-align: middle }
.dashed { border-style: dashed } .thin { border-width: 2px }
.legend { position: sticky; top: 0; background: #ffffffe8; padding: .5em 0 } .legend span { margin-right: 1.2em }
.worst { display: grid; grid-template-columns: repeat(auto-fill, minmax(440px, 1fr)); gap: 1.2em }
figure { margin: 0 } figure img { width: 100%; display: block } figcaption { padding: .3em 0 }
"""


def write_error_page(metrics: DetectionMetrics, dataset, folder: str | Path, worst: int = WORST) -> Path:
    """Writes errors.html, the chart errors.png, and a folder `errors` with the pictures of the worst images.

    Only these images are read, one at a time.

    Args:
        metrics: what `kzoo.evaluate(..., errors=True)` gave.
        dataset: what was evaluated; with `skip_faulty` what `kzoo.data.checks.check.require_sound` leaves of it.
        folder: where to write.
        worst: how many images to show, the most costly first.

    Returns:
        The page.

    Raises:
        ValueError: the metrics were made without `errors`, it is another dataset, or an image cannot be read.
        OSError: the folder cannot be written.
    """
    errors = getattr(metrics, "errors", None)
    if errors is None:
        raise ValueError("error page: these metrics have no errors; evaluate with errors=True")
    folder, shown = Path(folder), errors.images[:worst]
    with replacing(folder / "errors") as fresh:
        fresh.mkdir()
        for number, image in enumerate(shown):
            picture = draw_errors(_photograph(dataset, image), image, errors.names)
            save_picture(fresh / _file(number), picture)
    plot_errors(metrics, folder / "errors.png")
    return write_atomically(folder / "errors.html", _page(metrics, errors, shown))


def _photograph(dataset, errors: ImageErrors) -> np.ndarray:
    sample = dataset[errors.index] if errors.index < len(dataset) else None
    if sample is None or sample.id != errors.id:
        there = "nothing" if sample is None else f"image {sample.id!r}"
        raise ValueError(
            f"error page: image {errors.index} of the dataset is {there}, not {errors.id!r}; give the dataset that "
            "was evaluated, without what skip_faulty left out"
        )
    return sample.image


def _file(number: int) -> str:
    return f"{number + 1:02}.jpg"


def _page(metrics: DetectionMetrics, errors: ErrorAnalysis, shown: Sequence[ImageErrors]) -> str:
    title = (
        f"What is wrong: mAP50 {_figure(errors.map50)}, {metrics.images} images, {metrics.objects} objects"
    )
    pictures = "\n".join(_figure_of(number, image) for number, image in enumerate(shown))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style></head>
<body><h1>{escape(title)}</h1>
<div class="top">{_table(errors)}<img src="errors.png" alt="what each kind of error costs"></div>
<h2>The worst images</h2>
<p>Those where wrong detections of a score of {errors.score:g} or more, and objects that none of them finds, cost
the most mAP50. Click on a picture to see it whole.</p>
{_legend()}
<div class="worst">
{pictures or "<p>No image has a mistake.</p>"}
</div></body></html>
"""


def _table(errors: ErrorAnalysis) -> str:
    head = f"<th></th><th></th><th class=n>all</th><th class=n>score {errors.score:g}</th><th class=n>mAP50 cost</th>"
    rows = [
        f"<td>{_box(COLORS[row.kind])}{row.kind}</td><td>{KINDS[row.kind]}</td><td class=n>{row.count:,}</td>"
        f"<td class=n>{row.count_at_score:,}</td><td class=n>{_figure(row.cost)}</td>"
        for row in errors.kinds
    ]
    for name, cost in (
        ("false positives", errors.false_positives),
        ("false negatives", errors.false_negatives),
    ):
        rows.append(f"<td>{name}</td><td></td><td></td><td></td><td class=n>{_figure(cost)}</td>")
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in (head, *rows)) + "</table>"


def _legend() -> str:
    entries = [
        *((kind, paint, "dashed" if kind == "missed" else "") for kind, paint in COLORS.items()),
        ("right", RIGHT_COLOR, "thin"),
        ("truth", TRUTH_COLOR, "thin dashed"),
        ("difficult, crowd, and what lies on it", LEFT_OUT_COLOR, "thin dashed"),
    ]
    return (
        '<p class="legend">'
        + "".join(f"<span>{_box(paint, style)}{name}</span>" for name, paint, style in entries)
        + "</p>"
    )


def _box(paint: tuple[int, int, int], style: str = "") -> str:
    return f'<i class="box {style}" style="border-color: rgb{paint}"></i>'


def _figure_of(number: int, image: ImageErrors) -> str:
    counts = ", ".join(f"{count} {kind}" for kind, count in image.counts().items())
    file = f"errors/{_file(number)}"
    return (
        f'<figure><a href="{file}"><img src="{file}" alt="{escape(counts)}" loading="lazy"></a>'
        f"<figcaption><b>{escape(str(image.id))}</b>: {counts}; about {image.cost:.4f} mAP50</figcaption></figure>"
    )


def _figure(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"
