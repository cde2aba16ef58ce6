"""The `kzoo` command. Nothing heavy is imported before a command runs, so that help comes at once."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import typer

from kzoo.cli import (
    anchors,
    benchmark,
    compress,
    convert,
    data,
    demo,
    evaluate,
    export,
    matrix,
    models,
    predict,
    push,
    serve,
    train,
    tune,
)
from kzoo.options.exports import EXPORT_SUFFIXES
from kzoo.system.messages import printable

# Click's `ClickException`, the base of all that is wrong with a command line. Newer versions of Typer bring a click of
# their own, whose classes are not those of the package `click`; this is the one that Typer raises in any case.
CommandError = typer.BadParameter.__mro__[2]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A detection and segmentation model zoo for Keras 3.",
)


def _quietly(command: Callable) -> Callable:
    """The command, with Keras started before it and the start-up notes of its backend hidden.

    They are about its own builds, not about the user's work. Nothing is started for an exported file that runs
    without Keras.
    """

    @functools.wraps(command)
    def run(*args, **kwargs):
        arguments = inspect.signature(command).bind(*args, **kwargs).arguments
        if Path(str(arguments.get("model"))).suffix.lower() not in EXPORT_SUFFIXES:
            from kzoo.system.quiet import native_output_hidden

            with native_output_hidden():
                from kzoo.training.devices import gpus

                gpus()  # which makes the backend look for devices, and say all it has to say of them
        return command(*args, **kwargs)

    return run


app.command("demo")(_quietly(demo.demo))
app.command("list")(models.list_models)
app.command("info")(_quietly(models.info))
app.command("train")(_quietly(train.train))
app.command("tune")(_quietly(tune.tune))
app.command("evaluate")(_quietly(evaluate.evaluate))
app.command("predict")(_quietly(predict.predict))
app.command("export")(_quietly(export.export))
app.command("convert")(_quietly(convert.convert))
app.command("compress")(_quietly(compress.compress))
app.command("push")(_quietly(push.push))
app.command("serve")(serve.serve)  # Keras is started by the processes that it starts
app.command("benchmark")(_quietly(benchmark.benchmark))
app.command("matrix")(_quietly(matrix.matrix))
app.command("anchors")(anchors.anchors)
app.add_typer(data.app, name="data")


def main() -> None:
    """Runs a command; what a user can mend is said in one line, with exit status 1 (2 for wrong usage)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    logging.lastResort.setFormatter(_Printable())
    warnings.showwarning = functools.partial(_warn, otherwise=warnings.showwarning)
    try:
        # Not by itself: it would draw a box around what is to be one line.
        status = app(prog_name="kzoo", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except CommandError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            sys.exit(error.exit_code)
        _stop(usage(error), error.exit_code)
    except BrokenPipeError:  # nobody reads on: `kzoo list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        _stop("stopped", 130)
    except OSError as error:
        _stop(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error), 1)
    except (ValueError, ImportError) as error:
        _stop(str(error), 1)


class _Printable(logging.Formatter):
    """Log lines without what would steer a terminal, such as names of files may have."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _warn(message, category, *place, otherwise: Callable, **target) -> None:
    """Shows Python's warnings by `otherwise`, and kzoo's own in a line without the place in the program."""
    if category.__module__.startswith("kzoo"):
        print(f"warning: {printable(str(message))}", file=sys.stderr)
    else:
        otherwise(message, category, *place, **target)


def usage(error) -> str:
    """A wrong usage in one line: option, value and remedy, or where to look."""
    parameter = getattr(error, "param", None)
    if isinstance(error, typer.BadParameter) and error.message:
        option = "" if parameter is None else f"{_flag(parameter)} "
        return " ".join(f"{option}{error.message}".split())
    command = error.ctx.command_path if error.ctx is not None else "kzoo"
    return f"{' '.join(error.format_message().split()).removesuffix('.')}; see {command} --help"


def _flag(parameter) -> str:
    """What a parameter is called on the command line."""
    longest = max(parameter.opts, key=len)
    return longest if longest.startswith("-") else longest.upper()


def _stop(message: str, status: int) -> None:
    """Ends the process with an error in one line."""
    print(f"error: {printable(message)}", file=sys.stderr)
    sys.exit(status)
