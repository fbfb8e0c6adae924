"""The notebook of results on runs that are trained for it: what it shows is what the runs logged."""

import base64
import io
import os
import re
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import nbformat
import pytest
import soundfile
from nbformat.v4 import new_code_cell, new_notebook

from experiments.loggers.csv_logger import read_rows
from tests.support.notebooks import NOTEBOOKS, check_shown, execute
from tests.support.runs import arguments
from train import main

pytestmark = pytest.mark.slow  # runs the notebook several times

MAP = "test/text_to_audio/mAP@10"
RUNS = [("demo_infonce", "0"), ("demo_infonce", "1"), ("demo_listnet", "0")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two runs of one tiny experiment and one of another lie."""
    folder = tmp_path_factory.mktemp("results")
    for config, seed in RUNS:
        options = [config if option == "demo_listnet" else option for option in arguments(folder)]
        assert main(["fit", *options, "--seed_everything", seed]) == 0
    return folder


@pytest.fixture(scope="module")
def shown(folder: Path) -> dict[str, Any]:
    """The notebook for two experiments; in the same kernel for one run without its corpus, and for no run at all."""
    (path,) = (path for path in NOTEBOOKS if path.stem == "results")
    both, one, none = (read(path, suffix) for suffix in ("", "-one", "-none"))
    reading = next(i for i, cell in enumerate(none.cells) if "read_experiments([" in cell.source)
    none.cells = none.cells[: reading + 1]
    none.cells[reading].metadata["tags"] = ["raises-exception"]
    runs = folder / "runs"
    cells = [
        set_runs(runs / "demo_infonce", runs / "demo_listnet"),
        *both.cells,
        set_runs(runs / "demo_listnet" / "0"),
        new_code_cell(f"os.rename({str(folder / 'corpus')!r}, {str(folder / 'elsewhere')!r})"),
        *one.cells,
        set_runs(runs / "demo_infonce", Path("runs/not made")),
        *none.cells,
    ]
    execute(new_notebook(cells=cells, metadata=both.metadata))
    return {"both": both, "one": one, "none": none}


def read(path: Path, suffix: str) -> Any:
    """A notebook, with cell ids that are its own."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell["id"] += suffix
    return notebook


def set_runs(*runs: Path) -> Any:
    return new_code_cell(f"import os\nos.environ['RUNS'] = {os.pathsep.join(map(str, runs))!r}")


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def printed(notebook: Any, stream: str = "stdout") -> str:
    return "".join(output["text"] for output in outputs(notebook) if output.get("name") == stream)


def displayed(notebook: Any, kind: str) -> str:
    return "".join(output["data"].get(kind, "") for output in outputs(notebook) if "data" in output)


def test_results_are_shown(shown: dict[str, Any]) -> None:
    check_shown(shown["both"], "results.ipynb")
    assert "demo_infonce: 0, 1\ndemo_listnet: 0\n" in printed(shown["both"])


def test_the_table_says_what_the_runs_logged(shown: dict[str, Any], folder: Path) -> None:
    table = displayed(shown["both"], "text/markdown")
    header, _, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line[:1] == "|"
    ]
    figures = {name.strip("*"): cells for name, *cells in rows}
    column = header.index("text to audio mAP@10") - 1
    for experiment, seeds in (("demo_infonce", ["0", "1"]), ("demo_listnet", ["0"])):
        runs = [folder / "runs" / experiment / seed for seed in seeds]
        logged = [100 * row[MAP] for run in runs for row in read_rows(run / "metrics.csv") if MAP in row]
        spread = f" ± {stdev(logged):.1f}" if len(seeds) > 1 else ""
        assert figures[experiment][column].strip("*") == f"{mean(logged):.1f}{spread}"
    assert "one run only, so no standard deviation: demo_listnet" in table


def test_a_difference_is_tested_over_queries_and_over_recordings(shown: dict[str, Any]) -> None:
    text = printed(shown["both"])
    assert "demo_listnet against demo_infonce, text to audio mAP@10" in text
    assert "over queries (the paper's test): t(29)" in text
    assert "over recordings: t(5)" in text
    assert "over runs: nothing to say with one run of a method" in text


def test_found_recordings_can_be_heard(shown: dict[str, Any]) -> None:
    html = displayed(shown["both"], "text/html")
    players = re.findall(r'src="data:audio/mpeg;base64,([^"]+)"', html)
    assert len(players) == html.count("<tr>") == 18  # three recordings for each of six queries
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(players[0])))
    assert 0 < len(samples) / rate <= 10.1
    assert "no players" not in printed(shown["both"])


def test_one_run_without_its_audio_files(shown: dict[str, Any]) -> None:
    text = printed(shown["one"])
    assert "demo_listnet/0: 0\n" in text
    assert "One method: nothing to test." in text
    assert "no players: " in text
    assert displayed(shown["one"], "text/html").count("<tr>") == 18
    assert "<audio" not in displayed(shown["one"], "text/html")


def test_without_runs_it_says_in_one_line_how_to_make_them(shown: dict[str, Any]) -> None:
    assert printed(shown["none"], "stderr").splitlines() == [
        "error: runs/not made: no such folder; make it with `audio-relevance sweep demo_methods`, or name yours in RUNS"
    ]
