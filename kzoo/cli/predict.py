"""`kzoo predict`: objects or masks in images, folders and videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kzoo.cli.options import (
    Bits,
    Model,
    Names,
    Nms,
    Resize,
    Weights,
    argument,
    parameter,
    set_options,
)
from kzoo.options import Text
from kzoo.options.commands import PREDICT

Source = argument(
    Text(
        help="One or more images, folders, globs or video files; or one camera, by its number or address "
        "(rtsp://...), or a pipe (- is stdin)."
    ),
    many=True,
    metavar="SOURCE...",
)


def predict(
    model: Model,
    source: Source,
    out: parameter(PREDICT["out"]) = None,
    json: Annotated[bool, typer.Option("--json", help="Write all results to predictions.json.")] = False,
    txt: Annotated[
        bool, typer.Option("--txt", help="Write YOLO label files with scores to labels/ (detectors only).")
    ] = False,
    masks: Annotated[
        bool,
        typer.Option(
            "--masks",
            help="Write PNG files of class indices, or of objects' numbers, to masks/ (models with masks only).",
        ),
    ] = False,
    cutout: Annotated[
        bool,
        typer.Option(
            "--cutout",
            help="Write the subject, or each object, on transparent ground to cutouts/ (models with masks only).",
        ),
    ] = False,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures/--no-pictures",
            "--save/--no-save",
            help="Write annotated pictures and videos; with a video its sound, and a JSON line for each frame.",
        ),
    ] = True,
    score: parameter(PREDICT["score_threshold"]) = None,
    batch_size: parameter(
        PREDICT["batch_size"].but(otherwise="1, or as many as an export takes", none=True)
    ) = None,
    bits: Bits = None,
    resize: Resize = None,
    nms: Nms = None,
    method: parameter(PREDICT["method"]) = None,
    overlap: parameter(PREDICT["overlap"]) = None,
    flips: parameter(PREDICT["flips"]) = None,
    sizes: parameter(PREDICT["sizes"]) = None,
    track: parameter(PREDICT["track"], "--track") = False,
    tracker: parameter(PREDICT["tracker"]) = None,
    line: parameter(PREDICT["line"], metavar="X1,Y1,X2,Y2") = None,
    zone: parameter(PREDICT["zone"], metavar="X1,Y1,...") = None,
    mot: Annotated[
        bool,
        typer.Option(
            "--mot",
            help="Write tracks as MOTChallenge's text to mot/ (with --track only).",
            rich_help_panel="Video",
        ),
    ] = False,
    show: Annotated[
        bool,
        typer.Option(
            "--show",
            help="Show frames in a window as they come; q or closing it ends.",
            rich_help_panel="Video",
        ),
    ] = False,
    ray: parameter(PREDICT["ray"]) = None,
    weights: Weights = None,
    names: Names = None,
):
    """Find objects or masks in images, folders, globs, videos and cameras, and write annotated pictures."""
    from kzoo.inference.folder import predict as run
    from kzoo.sources import Stream, expand, is_live
    from kzoo.weights.opening import load

    if out is not None and not (pictures or json or txt or masks or cutout or mot):
        raise typer.BadParameter(
            f"--out {out}: nothing is written there with --no-pictures alone; leave one out"
        )
    live = len(source) == 1 and is_live(source[0])
    paths = source[0] if live else expand(source)
    out = out or Path("runs") / "predict" / (Stream.name_of(source[0]) if live else _name(source, paths))
    asked = (("labels", txt), ("masks", masks), ("cutouts", cutout), ("mot", mot))
    kinds = [kind for kind, wanted in asked if wanted]
    looking = set_options(score_threshold=score, batch_size=batch_size, resize=resize, nms=nms, bits=bits)
    looking |= set_options(method=method, overlap=overlap, flips=flips, sizes=sizes)
    if ray is not None:
        from kzoo.serving.many import predict_on_ray, refuse_idle_on_ray

        refuse_idle_on_ray({"json": json, "track": track, "mot": mot, "show": show})
        refuse_idle_on_ray({"tracker": tracker, "line": line, "zone": zone})
        looking |= set_options(weights=weights, names=names)
        outcome = predict_on_ray(model, source, out, ray, pictures, kinds, typer.echo, **looking)
        typer.echo(f"results in {out}")
        raise typer.Exit(1 if outcome.faults else 0)
    outcome = run(
        load(model, weights=weights, names=names),
        paths,
        out,
        pictures=pictures,
        json=json,
        kinds=kinds,
        say=typer.echo,
        **looking,
        **set_options(tracker=tracker, line=line, zone=zone),
        track=track,
        show=show,
    )
    if pictures or json or kinds:
        typer.echo(f"results in {out}")
    if outcome.faults:
        raise typer.Exit(1)


def _name(source: list[str], paths: list[Path]) -> str:
    """What to call the results of a source: the file or folder it is or starts from."""
    first = Path(source[0])
    if len(source) > 1 or not first.exists():
        first = paths[0].parent
    return first.resolve().stem if first.is_file() else first.resolve().name
