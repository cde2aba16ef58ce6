"""`kzoo compress`: a detector that looks at regions with dense layers, with thinner ones."""

from __future__ import annotations

import typer

from kzoo.cli.options import argument, parameter
from kzoo.options.commands import COMPRESS


def compress(
    model: argument(COMPRESS["model"], metavar="MODEL"),
    out: argument(COMPRESS["out"], metavar="OUT"),
    ranks: parameter(COMPRESS["ranks"], metavar="N,N,...") = None,
    shares: parameter(COMPRESS["shares"], metavar="SHARE,...") = None,
):
    """Split each dense layer of a two-stage detector into two thin ones, and say what that saves and costs."""
    if out.suffix != ".keras":
        raise typer.BadParameter(f"{out}: end its name in .keras")
    if ranks is not None and shares is not None:
        raise typer.BadParameter("--ranks and --shares say the same; give one of them")
    from kzoo.model import compression
    from kzoo.system.files import replacing
    from kzoo.weights.opening import load

    compressed = compression.compress(load(model), ranks, compression.SHARES if shares is None else shares)
    with replacing(out) as fresh:
        compressed.model.save(fresh)
    typer.echo(compressed)
    typer.echo(f"{out}  {out.stat().st_size / 1e6:.1f} MB")
