"""The `kzoo` command. Nothing heavy is imported before a command runs, so that help comes at once."""

from __future__ import annotations

import os
import sys

import typer

from kzoo.cli import anchors, benchmark, data, demo, evaluate, export, models, predict, train

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A detection and segmentation model zoo for Keras 3.",
)
app.command("demo")(demo.demo)
app.command("list")(models.list_models)
app.command("info")(models.info)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("benchmark")(benchmark.benchmark)
app.command("anchors")(anchors.anchors)
app.add_typer(data.app, name="data")


def main() -> None:
    """Runs a command; what a user can mend is said in one line, with exit status 1 (2 for wrong usage)."""
    # TensorFlow's start-up notes are about its own builds, not about the user's work.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        app()
    except KeyboardInterrupt:
        _stop("stopped", 130)
    except OSError as error:
        _stop(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error), 1)
    except (ValueError, ImportError) as error:
        _stop(str(error), 1)


def _stop(message: str, status: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)
