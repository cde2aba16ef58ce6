"""`kzoo push`: a trained model for other people, in a folder or on Hugging Face's hub."""

from __future__ import annotations

import typer

from kzoo.cli.options import argument, parameter
from kzoo.options.sharing import PUSH


def push(
    run: argument(PUSH["run"], metavar="RUN"),
    target: argument(PUSH["target"], metavar="TARGET"),
    licence: parameter(PUSH["licence"]) = None,
    notes: parameter(PUSH["notes"], metavar="FILE") = None,
    private: parameter(PUSH["private"], "--private") = False,
    predictions: parameter(PUSH["predictions"], "--predictions/--no-predictions") = True,
    exist_ok: parameter(PUSH["exist_ok"], "--exist-ok") = False,
):
    """Share a trained model, with its class names and a card, in a folder or on Hugging Face."""
    from kzoo.sharing.pushing import push as run_push

    place = run_push(run, target, licence, notes, private, predictions, exist_ok)
    typer.echo(f"{place}: open it with kzoo.load({place!r})")
