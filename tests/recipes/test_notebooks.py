"""The notebooks: kept as they ran from top to bottom, small, without a trace of the machine, and they run again."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import kzoo

FOLDER = Path(kzoo.__file__).parents[1] / "recipes"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_BYTES = 500_000
# Where a path of somebody's machine begins.
MACHINE = r"/(?:root|home|Users|tmp|work|opt|usr|var|mnt)/|[A-Z]:\\"
SMALL = {"IMAGES": 32, "SIDE": 64, "EPOCHS": 1}

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_both_tasks_have_one():
    assert {path.stem.split("_")[0] for path in NOTEBOOKS} == {"detect", "segment"}


@every_notebook
def test_outputs_are_kept_and_small(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < MOST_BYTES
    cells = code(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert sum("image/jpeg" in output.get("data", {}) for output in outputs) >= 2
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


@every_notebook
def test_nothing_in_it_is_of_one_machine(path):
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        texts = [cell.source]
        for output in cell.get("outputs", ()):
            texts += [output.get("text", ""), output.get("data", {}).get("text/plain", "")]
        assert not re.findall(MACHINE, "\n".join(texts)), cell.source
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.slow
@every_notebook
def test_it_runs_cut_down(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    (sizes,) = (cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", ()))
    for name, value in SMALL.items():
        sizes.source, count = re.subn(
            rf"^{name} = \d+", f"{name} = {value}", sizes.source, flags=re.MULTILINE
        )
        assert count == 1
    # A cell that fails raises CellExecutionError, which has what the cell said.
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    assert (tmp_path / "runs" / "notebooks").is_dir()
