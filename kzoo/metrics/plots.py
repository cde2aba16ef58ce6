"""Pictures of metrics, with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kzoo.metrics.detection import CONFUSION_SCORE, IOU_THRESHOLD, DetectionMetrics
from kzoo.metrics.error_analysis import AnalysedMetrics
from kzoo.metrics.error_pictures import COLORS
from kzoo.metrics.segmentation import SegmentationMetrics
from kzoo.structures.lettering import font_file, own_font, readable

SMOOTH = 1001  # points of a drawn curve
MOST_NAMED_CURVES = 10  # of more classes each curve is a grey line
MOST_PRINTED_CELLS = 20  # classes; of more the cells of a confusion matrix have no number
GREY, INK = "0.75", "0.15"


def _figure(width: float, height: float):
    # Not pyplot: that keeps every figure alive and may look for a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _save(figure, path: str | Path) -> Path:
    from kzoo.system.files import replacing

    with replacing(path) as fresh:
        figure.savefig(fresh)
    return Path(path)


def plot_precision_recall(metrics: DetectionMetrics, path: str | Path) -> Path:
    """Draws precision over recall at IoU .5: a line a class and their mean, the best F1 of each marked.

    Args:
        metrics: the figures to draw; classes without objects have no line.
        path: the picture to write, .png or .svg.

    Raises:
        OSError: the folder cannot be written.

    Example:
        >>> plot_precision_recall(evaluator.result(), "precision_recall.png")
    """
    figure, axes = _figure(8.5, 5.2)
    recall = np.linspace(0, 1, SMOOTH)
    shown = [
        (row, curve) for row, curve in zip(metrics.per_class, metrics.curves, strict=True) if curve.objects
    ]
    named = len(shown) <= MOST_NAMED_CURVES
    for number, (row, curve) in enumerate(shown):
        color = f"C{number}" if named else GREY
        # A leading space: matplotlib leaves labels that begin with "_" out of legends.
        label = f" {_readable(row.name, number)}  {row.voc_ap_all:.3f}" if named else None
        axes.plot(recall, curve.sampled(SMOOTH), color=color, linewidth=1.4 if named else 0.8, label=label)
        if named and row.f1 > 0:
            axes.plot(row.recall, row.precision, "o", color=color, markersize=5)
    if shown:
        mean = np.mean([curve.sampled(SMOOTH) for _, curve in shown], axis=0)
        label = f"mean of {len(shown)}  {metrics.voc_ap_all:.3f}"
        axes.plot(recall, mean, color=INK, linewidth=2.6, alpha=0.85, label=label)
        legend = figure.legend(title="average precision (VOC)", loc="outside right upper", fontsize=9)
        _letter(legend.get_texts())
    else:
        axes.text(0.5, 0.5, "no objects to be found", ha="center", va="center", color=INK)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    note = "dots: best F1" if named else "a grey line a class"
    axes.set_title(
        f"Precision and recall at IoU {IOU_THRESHOLD}, {metrics.images} images ({note})", fontsize=11
    )
    axes.grid(alpha=0.25)
    return _save(figure, path)


def plot_confusion(metrics: DetectionMetrics | SegmentationMetrics, path: str | Path) -> Path:
    """Draws the confusion matrix: true class by row, predicted by column, shade by the share of the row.

    Of a detector the cells count objects, and have the background last; of a segmenter they are shares of the
    pixels of the true class.

    Args:
        metrics: the figures of a detector or a segmenter.
        path: the picture to write, .png or .svg.

    Raises:
        OSError: the folder cannot be written.
    """
    counts = metrics.confusion
    pixels = isinstance(metrics, SegmentationMetrics)
    labels = [_readable(name, label) for label, name in enumerate(metrics.names)]
    if not pixels:
        labels.append("background")
    side = float(np.clip(3.0 + 0.55 * len(labels), 5.0, 14.0))
    figure, axes = _figure(side + 0.8, side)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, ax=axes, fraction=0.045, label="share of the row")
    if len(labels) <= MOST_PRINTED_CELLS:
        _print_cells(axes, counts, share, pixels)
    _tick(axes, labels)
    axes.set(xlabel="predicted", ylabel="true")
    what = "Pixels" if pixels else f"Objects at IoU {IOU_THRESHOLD}, score {CONFUSION_SCORE}"
    axes.set_title(f"{what}, {metrics.images} images", fontsize=11)
    return _save(figure, path)


def plot_errors(metrics: AnalysedMetrics, path: str | Path) -> Path:
    """Draws what each kind of error costs, a bar a kind, and below them all false positives and negatives.

    Args:
        metrics: the figures that `kzoo.evaluate(..., errors=True)` gives.
        path: the picture to write, .png or .svg.

    Raises:
        OSError: the folder cannot be written.
    """
    errors = metrics.errors
    figure, axes = _figure(7.5, 4.2)
    names = [*(row.kind for row in errors.kinds), "false positives", "false negatives"]
    # A gap between the kinds and the two that cut the same errors another way.
    places = [*range(len(errors.kinds)), len(errors.kinds) + 0.5, len(errors.kinds) + 1.5]
    costs = np.nan_to_num(
        [*(row.cost for row in errors.kinds), errors.false_positives, errors.false_negatives]
    )
    colors = [*(np.array(COLORS[row.kind]) / 255 for row in errors.kinds), GREY, GREY]
    bars = axes.barh(places, costs, color=colors, edgecolor=INK, linewidth=0.5)
    counts = [*(f"{row.count:,}" for row in errors.kinds), "", ""]
    labels = [
        f"{cost:.3f}" + (f"  ({count})" if count else "") for cost, count in zip(costs, counts, strict=True)
    ]
    axes.bar_label(bars, labels, padding=4, fontsize=9, color=INK)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, max(0.01, 1.3 * float(costs.max())))
    axes.set_xlabel("mAP50 gained if these errors alone were put right (how many there are)")
    axes.set_title(f"mAP50 {errors.map50:.3f} on {metrics.images} images, and what is wrong", fontsize=11)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    return _save(figure, path)


def _print_cells(axes, counts: np.ndarray, share: np.ndarray, pixels: bool) -> None:
    for (row, column), count in np.ndenumerate(counts):
        text = f"{share[row, column]:.3f}" if pixels else f"{count}"
        if not pixels and row == column == len(counts) - 1:
            text = ""  # Background found as background is not a thing that can be counted.
        color = INK if count else GREY
        if share[row, column] > 0.55:
            color = "white"  # on a dark cell
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9)


def _tick(axes, labels: Sequence[str]) -> None:
    size = float(np.clip(400 / len(labels), 5, 10))
    positions = range(len(labels))
    axes.set_xticks(positions, labels, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
    axes.set_yticks(positions, labels, fontsize=size)
    _letter([*axes.get_xticklabels(), *axes.get_yticklabels()])


def _readable(name: str, label: int) -> str:
    return readable(name, f"class {label}")


def _letter(texts: Sequence) -> None:
    """Gives class names a font that has their letters; a "$" in them begins no formula."""
    from matplotlib.font_manager import FontProperties

    for text in texts:
        text.set_parse_math(False)
        file = font_file(text.get_text())
        if file != own_font():  # matplotlib's own is this one
            text.set_fontproperties(FontProperties(fname=file, size=text.get_size()))
