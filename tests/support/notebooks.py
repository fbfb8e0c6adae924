"""Notebooks run in a fresh kernel, and what they show."""

import os
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


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
