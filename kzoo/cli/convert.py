"""`kzoo convert`: Darknet's files into a model, and a model into Darknet's files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kzoo.cli.options import Names, Weights, argument, parameter
from kzoo.options import Place
from kzoo.options.commands import CONVERT

Files = argument(
    Place(
        help="The file OUT to write: .keras, or Darknet's .weights with a .cfg beside it. Before it, unless there is "
        "--cfg, the MODEL to read: a .keras file, a run folder or hf://USER/NAME.",
        path=True,
    ),
    many=True,
    metavar="[MODEL] OUT",
)


def convert(
    files: Files,
    cfg: parameter(CONVERT["cfg"], metavar="FILE") = None,
    weights: Weights = None,
    names: Names = None,
    stop_at: parameter(CONVERT["stop_at"], metavar="LAYER") = None,
    fold: Annotated[
        bool,
        typer.Option(
            "--fold",
            help="Fold batch normalisation into the convolutions: quicker, and no longer to be trained.",
        ),
    ] = False,
    features: Annotated[
        bool,
        typer.Option(
            "--features", help="Read a .cfg that was cut before its head, for its last feature map."
        ),
    ] = False,
):
    """Turn Darknet's .cfg and .weights into a .keras model, and a model into Darknet's files."""
    if len(files) != (1 if cfg is not None else 2):
        raise typer.BadParameter("give --cfg FILE and OUT, or MODEL and OUT")
    if features and cfg is None:
        raise typer.BadParameter("--features goes with --cfg")
    *source, out = files
    from kzoo import darknet
    from kzoo.darknet.weights import partial_stop

    to_darknet = out.suffix == ".weights" or partial_stop(out) is not None
    if out.suffix != ".keras" and not to_darknet:
        raise typer.BadParameter(f"{out}: end its name in .keras or .weights")
    if source and out.exists() and source[0].exists() and out.samefile(source[0]):
        raise typer.BadParameter(f"{out}: the model itself; write to another file")
    if stop_at is not None and source and not to_darknet:
        raise typer.BadParameter("--stop-at goes with --cfg, or with a .weights file to write")
    if source:
        model = _opened(source[0], weights, names)
    else:
        beside = cfg.with_suffix(".weights")
        model = darknet.load(cfg, weights or beside, names, stop_at, features=features)
    model = darknet.folded(model) if fold else model
    if to_darknet:
        stop = partial_stop(out) if stop_at is None else stop_at
        written = darknet.save(model, out, stop_at=stop)
    else:
        from kzoo.system.files import replacing

        with replacing(out) as fresh:
            model.save(fresh)
        written = [out]
    parameters = f"{model.count_params():,} parameters"
    typer.echo(f"{model.name}: {parameters}, {model.task}, {model.head.num_classes} classes")
    for path in written:
        typer.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


def _opened(path: Path, weights, names):
    """The model at a path, if its layers can be read.

    Raises:
        ValueError: it is an export.
    """
    from kzoo.model import ZooModel
    from kzoo.weights.opening import load

    model = load(path, weights=weights, names=names)
    if not isinstance(model, ZooModel):
        raise ValueError(
            f"{path}: an export, whose layers are not to be had; give the model that it was made of"
        )
    return model
