"""`kzoo demo`: the whole path on drawn shapes, from images to a deployed detector, in some minutes on two cores."""

from __future__ import annotations

import time
from pathlib import Path

from kzoo.cli.options import parameter
from kzoo.options.commands import OUT, SEED

IMAGE_SIZE = (128, 128)
TRAIN_IMAGES, VAL_IMAGES, TEST_IMAGES = 1000, 64, 160
EPOCHS = 16
# Shapes stay themselves under mirrors and quarter turns, and no pixel is resampled.
AUGMENT = ("flip", "flip_vertical", "rotate90")


def demo(
    out: parameter(
        OUT.but(help="The folder that everything is written to.", what="a folder", none=False)
    ) = "runs/demo",
    seed: parameter(SEED.but(help="Seed of the drawn images, the first weights and the augmentation.")) = 0,
) -> None:
    """Train a small YOLOv3 on drawn shapes, evaluate it, draw what it finds, export it and run the exports."""
    run(Path(out), seed)


def run(out: Path, seed: int) -> dict:
    """Trains a small YOLOv3 on drawn shapes, evaluates, draws, exports to SavedModel and TFLite, and runs both.

    Args:
        out: the folder everything is written to.
        seed: seed of the images, the first weights and the augmentation.

    Returns:
        `map`, `map50` and `voc` on images the model has not seen, and the same of each export.
    """
    import kzoo
    from kzoo.data.formats.shapes import Shapes
    from kzoo.evaluation import Evaluator
    from kzoo.sources.image import save_picture
    from kzoo.structures.draw import CELL, contact_sheet, scale_into

    started = time.perf_counter()
    train, val, test = (
        Shapes(count, image_size=IMAGE_SIZE, seed=seed, split=split)
        for count, split in ((TRAIN_IMAGES, "train"), (VAL_IMAGES, "val"), (TEST_IMAGES, "test"))
    )
    print(
        f"1. {TRAIN_IMAGES} images of {', '.join(train.classes)} to train on, {TEST_IMAGES} others to test with"
    )
    print("2. training a yolov3-tiny of half the width")
    kzoo.train(
        "yolov3-tiny",
        train,
        val=val,
        width=0.5,
        image_size=IMAGE_SIZE,
        epochs=EPOCHS,
        seed=seed,
        learning_rate=1e-2,
        augment=AUGMENT,
        run=out,
        exist_ok=True,
    )
    model = kzoo.load(out / "best.keras")

    print(f"3. evaluating on {TEST_IMAGES} images it has not seen")
    evaluator = Evaluator(test, IMAGE_SIZE)
    figures = {"keras": _figures(evaluator(model))}
    detections = model.detect([test[i].image for i in range(12)])
    pictures = [
        save_picture(out / "pictures" / f"{i:02}.jpg", one.draw()) for i, one in enumerate(detections)
    ]
    small = [one.draw(scale=scale_into(CELL, one.image)) for one in detections]
    sheet = save_picture(out / "pictures.jpg", contact_sheet(small))

    print("4. exporting, with normalisation, decoding and suppression inside")
    exports = {
        "saved_model": kzoo.export(model, Path("saved_models") / "demo" / "1", format="saved_model"),
        "tflite": kzoo.export(model, out / "demo.tflite", format="tflite"),
    }
    for form, path in exports.items():
        figures[form] = _figures(evaluator(kzoo.load(path)))
    _report(figures)
    print(f"done in {time.perf_counter() - started:.0f} s; here it lies:")
    for what, where in (
        ("model", out / "best.keras"),
        ("curves and logs", out),
        ("annotated pictures", f"{pictures[0].parent} ({len(pictures)}), {sheet}"),
        ("SavedModel", exports["saved_model"]),
        ("TFLite", exports["tflite"]),
    ):
        print(f"  {what:19} {where}")
    return figures


def _figures(metrics) -> dict[str, float]:
    import numpy as np

    return {
        "map": float(metrics.map),
        "map50": float(metrics.map50),
        "voc": float(np.nan_to_num(metrics.voc_ap_11point)),
    }


def _report(figures: dict[str, dict[str, float]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("average precision", "COCO mAP", "COCO mAP50", "VOC AP (11-point)", box=None)
    for form, row in figures.items():
        table.add_row(form, *(f"{value:.3f}" for value in row.values()))
    Console().print(table)
