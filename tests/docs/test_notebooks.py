"""Every notebook runs from its first cell to its last on the embedded data, and is kept without what it shows."""

from pathlib import Path

import nbformat
import pytest

from tests.support.notebooks import NOTEBOOKS, check_shown, code_cells, execute

OWN_TESTS = {"results"}  # those that need more than the embedded data


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs(path: Path) -> None:
    assert [cell.source for cell in code_cells(nbformat.read(path, as_version=4)) if cell.outputs] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem not in OWN_TESTS], ids=lambda path: path.stem)
def test_notebook_runs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    execute(notebook)
    check_shown(notebook, path.name)
