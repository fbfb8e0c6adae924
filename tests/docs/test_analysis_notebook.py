"""The notebook of analyses on runs that are written for it."""

import os
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.support.compared import NAMES, write_run
from tests.support.notebooks import NOTEBOOKS, check_shown, execute

pytestmark = pytest.mark.slow  # runs the notebook


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook, run on one method of two runs and one of one."""
    folder = tmp_path_factory.mktemp("analysis")
    for name, seed, signal in (("first/0", 1, 1.0), ("first/1", 2, 1.0), ("second/0", 3, 2.0)):
        write_run(folder / name, NAMES, seed, signal)
    write_run(folder / "second/0", [f"v {name}" for name in NAMES[:9]], 4, 2.0, split="validation")
    (path,) = (path for path in NOTEBOOKS if path.stem == "analysis")
    notebook = nbformat.read(path, as_version=4)
    runs = os.pathsep.join(str(folder / name) for name in ("first", "second"))
    cells = [new_code_cell(f"import os\nos.environ['RUNS'] = {runs!r}"), *notebook.cells]
    execute(new_notebook(cells=cells, metadata=notebook.metadata))
    return notebook


def displayed(notebook: Any, kind: str) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output["data"].get(kind, "") if "data" in output else output.get("text", "") for output in outputs)


def test_results_are_shown(shown: Any) -> None:
    check_shown(shown, "analysis.ipynb")
    assert "78 captions, 26 recordings: first second" in displayed(shown, "text/plain")
    assert "| second mAP@10 | first |" in displayed(shown, "text/markdown")
    assert "its own recording: rank" in displayed(shown, "text/html")


def test_mistakes_are_none(shown: Any) -> None:
    assert "error: " not in displayed(shown, "text/plain")
