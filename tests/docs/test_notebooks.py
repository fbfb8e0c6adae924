"""Every notebook runs from its first cell to its last on the embedded data, and is kept without what it shows."""

from pathlib import Path

import nbformat
import pytest

from tests.support.notebooks import NOTEBOOKS, check_shown, code_cells, execute
from tests.support.pairs import save_clap
from tests.support.recordings import write_recordings

OWN_TESTS = {"results", "embeddings", "analysis"}  # those that need more than the embedded data


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
