"""One fault of a dataset, with its file and line, and the error that a training raises of it.

Which faults there are, and which of them stop a training, is told in `kzoo.data.checks.check`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kzoo.system.messages import one_line


@dataclass(frozen=True)
class Fault:
    """Something wrong, or odd, in a dataset.

    Attributes:
        file: the file it is in.
        line: the line of the file, from 1; or, where `element` names a list of a JSON file, the position in that list,
            from 0; None where it is about the whole file.
        kind: a short name of the fault, such as "zero-area".
        message: what is wrong, with the value.
        severity: "error" stops a training, "warning" does not.
        element: the list of a JSON file that `line` counts in, such as "annotations".
        box: the position, from 0, of the record's box that is faulty; None where it is about the file.
    """

    file: Path
    line: int | None
    kind: str
    message: str
    severity: str = "error"
    element: str = ""
    box: int | None = None

    @property
    def place(self) -> str:
        """File and line as editors and `jq` take them: "a.xml:12", "b.json:annotations[3]"."""
        file = one_line(self.file)
        if self.line is None:
            return file
        return f"{file}:{self.element}[{self.line}]" if self.element else f"{file}:{self.line}"

    def __str__(self) -> str:
        return f"{self.place}: {self.severity}: {one_line(self.message)} [{self.kind}]"


class FaultError(ValueError):
    """A fault that makes a sample unusable, as an error: its place, what is wrong, what to do.

    Args:
        fault: what is wrong.
        remedy: what to do about it.
    """

    def __init__(self, fault: Fault, remedy: str):
        super().__init__(f"{fault.place}: {one_line(fault.message)}; {remedy}")
        self.fault = fault
        self.remedy = remedy

    def __reduce__(self):
        # Errors cross from worker processes.
        return FaultError, (self.fault, self.remedy)


def image_fault(path: Path, error: Exception) -> Fault:
    """The fault of an image file that `read_image` or `image_size` refused with `error`."""
    if isinstance(error, FileNotFoundError):
        return Fault(path, None, "missing-image", "no such image file")
    return Fault(
        path, None, "unreadable-image", str(error).removeprefix(f"{one_line(path)}: ").partition(";")[0]
    )
