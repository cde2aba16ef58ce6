"""`kzoo export`: a trained model as SavedModel, TFLite, ONNX or OpenVINO."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import typer

from kzoo.cli.options import Bits, Names, Resize, Weights, argument, parameter
from kzoo.options.exports import EXPORT


def export(
    model: argument(
        EXPORT["model"].but(
            help="The model to export: a .keras file, a run folder, hf://USER/NAME or a Darknet .cfg."
        ),
        metavar="MODEL",
    ),
    format: parameter(EXPORT["format"]) = None,
    quantize: parameter(EXPORT["quantize"]) = None,
    data: parameter(EXPORT["data"]) = None,
    split: parameter(EXPORT["split"]) = None,
    image_size: parameter(EXPORT["image_size"]) = None,
    batch_size: parameter(EXPORT["batch_size"], "--batch", "--batch-size") = None,
    out: parameter(
        EXPORT["path"].but(
            help="The file or folder to write.",
            otherwise="saved_models/NAME/VERSION or saved_models/NAME.SUFFIX",
        )
    ) = None,
    bits: Bits = None,
    resize: Resize = None,
    nms: parameter(EXPORT["nms"], metavar="KIND") = None,
    opset: parameter(EXPORT["opset"]) = None,
    weights: Weights = None,
    names: Names = None,
):
    """Write a model with normalisation, decoding and suppression inside, and compare what it gives with Keras."""
    from kzoo.data import load as load_data
    from kzoo.deploy import checking, writing
    from kzoo.deploy.benchmark import bytes_of
    from kzoo.deploy.suppression import with_own_nms
    from kzoo.evaluation import data_task
    from kzoo.inference.detect import resize_of
    from kzoo.weights.opening import load

    writing.check_format(out, format, quantize, data, opset)  # before what takes its time
    if split is not None and data is None:
        raise typer.BadParameter(f"--split {split}: a part of no dataset; give --data, or leave it out")
    opened = with_own_nms(load(model, weights=weights, names=names), nms)
    images = load_data(data, split, task=data_task(opened), bits=bits) if data is not None else None
    size = opened.check_size(image_size or opened.image_size)
    name = _name(model, opened.name)
    with _spinner("exporting"):
        path = writing.export(
            opened, out, format, quantize, images, size, batch_size, name, resize, nms, opset
        )
        agreement = checking.compare(opened, path, checking.picture(images, size, resize_of(opened, resize)))
    typer.echo(f"{path}  {bytes_of(path) / 1e6:.1f} MB")
    typer.echo(f"check: {agreement}")


@contextlib.contextmanager
def _spinner(text: str):
    """Says on a terminal that something goes on; also while the converters' own output is hidden."""
    from rich.console import Console

    with os.fdopen(os.dup(2), "w") as terminal, Console(file=terminal).status(text):
        yield


def _name(model: str, default: str) -> str:
    """What a model is called: its repository, its run folder, or its file unless that is only called best or last."""
    from kzoo.weights.hub import Address, is_address

    if is_address(model):
        return Address.parse(model).name
    path = Path(model).resolve()
    if path.is_file():
        path = path.parent if path.stem in ("best", "last") else path.with_suffix("")
    return path.name or default
