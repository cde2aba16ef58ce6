"""The run's curves over the epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kzoo.system.files import replacing


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
    names.sort(key=lambda name: name not in ("loss", "map", "map50", "mean_iou", "dice"))
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
        if axes.lines:  # a figure may be known of no epoch: precision, where there are no objects
            axes.legend(fontsize=8)
    with replacing(path) as fresh:
        figure.savefig(fresh)
    return path
