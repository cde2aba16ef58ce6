"""`kzoo/models/README.md` followed word for word, in a copy of the repository: its files, its lines, its commands."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import kzoo

ROOT = Path(kzoo.__file__).parents[1]
PAGE = ROOT / "kzoo" / "models" / "README.md"


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        kind: what stands behind the fence: "python", "diff" or "console".
        file: what the line before names as a new file, or as one that lines go into; "" where it names none.
        text: all lines within.
    """

    kind: str
    file: str
    text: str


def blocks() -> list[Block]:
    found = re.findall(r"^([^\n]*)\n\n```(\w+)\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(found) == PAGE.read_text().count("\n```") // 2, "each block follows a line of text"
    return [
        Block(kind, "".join(re.findall(r"`([\w/]+\.py)`:$", before)), text) for before, kind, text in found
    ]


def write(block: Block, root: Path) -> None:
    """Writes a new file, or puts the lines of a diff that begin with a plus after its other line."""
    path = root / block.file
    if block.kind == "python":
        assert not path.exists(), f"{block.file} is there already"
        path.write_text(block.text)
        return
    lines = block.text.splitlines(keepends=True)
    known = "".join(line[1:] for line in lines if line[0] == " ")
    text = path.read_text()
    assert text.count(known) == 1, f"{block.file} has these lines {text.count(known)} times:\n{known}"
    path.write_text(text.replace(known, "".join(line[1:] for line in lines)))


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A copy of the repository in which the page was followed."""
    new = [block.file for block in blocks() if block.kind == "python" and block.file]
    if any((ROOT / file).exists() for file in new):
        pytest.skip(f"the page has been followed here: {', '.join(new)}")
    root = tmp_path_factory.mktemp("repository")
    for name in ("kzoo", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    for block in blocks():
        if block.file:
            write(block, root)
    return root


def run(repository: Path, *arguments: str) -> str:
    """Runs Python in the copy, and gives what it prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=repository,
        env={**inherited, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


CHECK = """
from pathlib import Path

import numpy as np

assert Path(kzoo.__file__).is_relative_to(Path.cwd())
assert (again.name, type(again.head).__name__) == ({name!r}, {head!r})
image = np.stack([data[0].image])
before, after, exported = (m.predict_on_batch(image) for m in (model, again, kzoo.load("toy.tflite")))
np.testing.assert_array_equal(before["boxes"], after["boxes"])
np.testing.assert_allclose(before["scores"], exported["scores"], atol=1e-4)
"""


@pytest.mark.parametrize(
    "name, head", [("toy-free", "ToyHead"), pytest.param("toy", "YoloHead", marks=pytest.mark.slow)]
)
def test_what_the_page_adds_trains_predicts_saves_loads_and_exports(name, head, repository):
    (example,) = (block.text for block in blocks() if block.kind == "python" and not block.file)
    assert example.count('"toy"') == 1
    run(repository, "-c", example.replace('"toy"', repr(name)) + CHECK.format(name=name, head=head))


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [line for block in blocks() if block.kind == "console" for line in block.text.splitlines()]
)
def test_a_command_of_the_page(command, repository):
    program, *arguments = shlex.split(command)
    if program == "kzoo":
        run(repository, "-c", "from kzoo.cli.main import main; main()", *arguments)
    else:
        printed = run(repository, "-m", program, "-n0", *arguments)
        assert re.search(r"\d+ passed", printed) and "failed" not in printed
