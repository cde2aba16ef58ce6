"""What each format makes of a model: whether it opens, how far from Keras it is, how long it takes, how large it is."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo.data.formats.shapes import Shapes
from kzoo.deploy.benchmark import FORMS, bytes_of
from kzoo.deploy.checking import Agreement, compare
from kzoo.deploy.metadata import Metadata
from kzoo.deploy.opening import open_export
from kzoo.deploy.writing import export
from kzoo.options.exports import SUFFIXES
from kzoo.system.files import write_atomically
from kzoo.system.messages import markdown_table, one_line

EXPORTS = tuple(form for form in FORMS if form != "keras")
_IMAGES, _RUNS, _LEAST_SCORE = 2, 5, 0.001
_LONGEST = 90  # letters of what is said of a failure
_BORDER = r"(?<!\\)\|"  # of a Markdown table's cells
_BEGIN, _END = "<!-- `kzoo matrix` -->", "<!-- end of the table -->"


@dataclass(frozen=True)
class Cell:
    """What one form makes of a model.

    Attributes:
        agreement: how its results compare with Keras's; None where it failed.
        seconds: median time of one image.
        size: bytes on disk.
        fault: why it cannot be written, opened or run, in a line; "" where it can.
    """

    agreement: Agreement | None = None
    seconds: float = 0.0
    size: int = 0
    fault: str = ""

    def __str__(self) -> str:
        """The cell in Markdown: what differs in boxes and scores, milliseconds and megabytes."""
        if self.agreement is None:
            return self.fault.replace("|", "\\|")
        found, total = self.agreement.found, self.agreement.total
        boxes = f"{self.agreement.boxes:.0e} px, " if self.agreement.unit == "results" else ""
        few = "" if found == total else f"{100 * found / total:.4g} %, "
        figures = f"{1000 * self.seconds:.1f} ms, {self.size / 1e6:.2f} MB"
        return f"{few}{boxes}{self.agreement.scores:.0e}<br>{figures}"


def cells(model, forms: Sequence[str] = EXPORTS) -> Iterator[tuple[str, Cell]]:
    """Each form, and what it makes of a model on some drawn pictures.

    Args:
        model: a `ZooModel`.
        forms: names out of `EXPORTS`; all by default.
    """
    pictures = Shapes(_IMAGES, image_size=model.image_size)
    images = np.stack([pictures[i].image for i in range(_IMAGES)])  # (B, H, W, 3)
    with tempfile.TemporaryDirectory() as folder:
        for form in forms:
            try:
                yield form, _cell(model, _written(model, form, images, Path(folder)), images)
            except Exception as error:  # whatever a converter or a runtime says, it is said in the table
                said = one_line(str(error))
                yield form, Cell(fault=said if len(said) <= _LONGEST else f"{said[:_LONGEST]}...")


def _written(model, form: str, images: np.ndarray, folder: Path) -> Path:
    """The export of a model in a form."""
    format, numbers = FORMS[form]
    path = folder / f"{form}{SUFFIXES[format]}"
    made = folder / f"onnx{SUFFIXES['onnx']}"
    if format == "openvino" and numbers != "int8" and made.exists():  # what OpenVINO's forms are made from
        from kzoo.deploy.openvino import read, store

        store(path, read(made), Metadata.of(model, model.image_size, None, numbers))
        return path
    return export(model, path, format, numbers, images if numbers == "int8" else None)


def _cell(model, path: Path, images: np.ndarray) -> Cell:
    """What an export is like that was written."""
    opened, seconds = open_export(path), []
    opened.predict_on_batch(images[:1])
    for _ in range(_RUNS):
        began = time.perf_counter()
        opened.predict_on_batch(images[:1])
        seconds.append(time.perf_counter() - began)
    return Cell(compare(model, path, images, _LEAST_SCORE), float(np.median(seconds)), bytes_of(path))


def table(rows: Mapping[str, Mapping[str, str]]) -> str:
    """A Markdown table with a row for each model, and a column for each form.

    Args:
        rows: name of each model -> its cells by form; those that are missing stay empty.
    """
    return markdown_table(
        ["", *EXPORTS],
        [[f"`{name}`", *(rows[name].get(form, "") for form in EXPORTS)] for name in sorted(rows)],
    )


def put(page: Path, rows: Mapping[str, Mapping[str, str]]) -> None:
    """Puts cells into the table of a page, in the place of those of the same names and forms; others stay.

    Args:
        page: the page, with a table between its two comments, or nothing.
        rows: name of each model -> its cells by form.

    Raises:
        ValueError: the page has no such comments.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    there, end, behind = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{page}: has no place for the table; put {_BEGIN} and {_END} where it is to be")
    lines = [[cell.strip() for cell in re.split(_BORDER, line)[1:-1]] for line in there.strip().splitlines()]
    heads, known = lines[0] if lines else [], {}
    for name, *cells_there in lines[2:]:
        known[name.strip("`")] = dict(zip(heads[1:], cells_there, strict=True))
    for name, cells_now in rows.items():
        known[name] = {**known.get(name, {}), **cells_now}
    write_atomically(page, f"{before}{begin}\n\n{table(known)}\n\n{end}{behind}")
