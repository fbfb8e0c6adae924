"""Every notebook runs from its first cell to its last on the embedded data, and is kept without what it shows."""

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.pairs import save_clap
from tests.support.recordings import write_recordings

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
OWN_TESTS = {"results", "embeddings"}  # those that need more than the embedded data


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs(path: Path) -> None:
    assert [cell.source for cell in code_cells(nbformat.read(path, as_version=4)) if cell.outputs] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem not in OWN_TESTS], ids=lambda path: path.stem)
def test_notebook_runs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    execute(notebook)
    check_shown(notebook, path.name)


@pytest.mark.slow
def test_a_folder_is_embedded_in_under_ten_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL", str(save_clap(tmp_path / "clap", seconds=1)))
    monkeypatch.setenv("FOLDER", str(write_recordings(tmp_path / "audio")))
    notebook = nbformat.read(NOTEBOOKS[0].parent / "embeddings.ipynb", as_version=4)
    execute(notebook)
    (cell,) = code_cells(notebook)
    assert len([line for line in cell.source.splitlines() if line]) < 10
    assert "(3, 8)" in "".join(output.get("text", "") for output in cell.outputs)


def execute(notebook: Any) -> None:
    """Fill in the outputs, from a fresh kernel in the notebooks' folder."""
    folder = {"metadata": {"path": str(NOTEBOOKS[0].parent)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()


def check_shown(notebook: Any, name: str) -> None:
    """Whether all cells ran and there are three figures at least; KEEP_NOTEBOOKS=FOLDER keeps them to be looked at."""
    code = code_cells(notebook)
    assert code
    assert all(cell.execution_count for cell in code)
    shown = [output for cell in code for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(shown) >= 3
    if kept := os.environ.get("KEEP_NOTEBOOKS"):
        nbformat.write(notebook, Path(kept) / name)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]
