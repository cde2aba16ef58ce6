"""The run's pictures: curves over the epochs, a training batch, validation predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kzoo.draw import contact_sheet, draw_boxes, save_picture
from kzoo.files import replacing

PICTURES = 16


def plot_results(rows: list[dict], path: Path) -> Path:
    """Draws every figure of `results.csv` over the epochs, training and validation in one panel each.

    Args:
        rows: one dict an epoch.
        path: the picture to write.
    """
    # Not pyplot: that keeps every figure alive and may look for a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name.removeprefix("val_") for row in rows for name in row if name != "epoch"))
    names.sort(key=lambda name: name not in ("loss", "map", "map50"))
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.8 * lines), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    epochs = [row["epoch"] for row in rows]
    for position, name in enumerate(names, 1):
        axes = figure.add_subplot(lines, columns, position)
        for column, label in ((name, "train"), (f"val_{name}", "val")):
            values = [row.get(column, np.nan) for row in rows]
            if not np.isnan(values).all():
                axes.plot(epochs, values, marker="." if len(rows) < 30 else None, linewidth=1.4, label=label)
        axes.set_title(name.replace("_", " "), fontsize=10)
        axes.set_xlabel("epoch", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8)
    with replacing(path) as fresh:
        figure.savefig(fresh)
    return path


def picture_batch(batch, names, path: Path) -> Path:
    """Draws a batch as the network sees it, with its boxes.

    Args:
        batch: images (B, H, W, 3) and `{"boxes": (B, M, 4), "labels": (B, M)}`.
        names: class names.
        path: the picture to write.
    """
    images, targets = batch
    drawn = []
    for image, boxes, labels in zip(images, targets["boxes"], targets["labels"], strict=True):
        keep = labels >= 0
        drawn.append(draw_boxes(image, boxes[keep], labels[keep], names=names))
    return save_picture(path, contact_sheet(drawn[:PICTURES]))


def picture_predictions(model, dataset, path: Path) -> Path:
    """Draws what a model finds on the first images of a dataset."""
    images = [dataset[i].image for i in range(min(PICTURES, len(dataset)))]
    return save_picture(path, contact_sheet([found.draw() for found in model.detect(images)]))
