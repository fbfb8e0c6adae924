"""What a run shows: the table of metrics, the figure, the progress bar."""

import io
import os
import re
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import rich
from lightning.pytorch.callbacks import RichProgressBar
from matplotlib.figure import Figure
from rich.console import Console

from experiments.callbacks.progress_bar import ProgressBar
from experiments.figures.run import draw_run
from experiments.results.metrics_table import NOTE, print_results
from experiments.results.query_table import read_queries, rows_of
from experiments.run_folder import RunFolder
from tests.support.tabled import Tabled
from tests.support.tiny import TinyData, tiny_model, tiny_trainer


def test_every_result_is_printed_beside_its_chance(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model = run[1]["test"]
    print_results(model.evaluation, RunFolder(Path("runs/tiny [a]/7")))
    printed = capsys.readouterr().out
    assert printed.startswith("runs/tiny [a]/7 (test split)")
    assert " ".join(NOTE.split()) in " ".join(printed.split())
    lines = {line.strip("│ ").split(" ")[0]: line for line in printed.splitlines() if line.startswith("│")}
    shown = {name: [float(value) for value in re.findall(r"-?\d+\.\d", line)] for name, line in lines.items()}
    names = ("mAP@10", "mAP@10_all", "R@1", "R@5", "R@10", "hit@1", "hit@5", "hit@10", "median_rank", "mean_rank")
    for name in (*names, "nDCG@10"):
        pairs = [(result.summary()[name], result.chance()[name]) for result in model.evaluation.rankings.values()]
        scale = 1 if name.endswith("rank") else 100
        assert shown[name] == pytest.approx([scale * value for pair in pairs for value in pair], abs=0.051), name
    assert shown["tie_rate"] == [0.0, 0.0]
    assert "36 in 12" in printed
    assert "12 in 36" in printed


@pytest.mark.parametrize("metrics", [True, False])
def test_the_figure_shows_the_curve_and_five_queries(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metrics: bool
) -> None:
    folder = RunFolder(tmp_path / "a$b$" / "7")
    folder.path.mkdir(parents=True)
    for source in [run[0].queries("test"), *([run[0].metrics] if metrics else [])]:
        (folder.path / source.name).write_bytes(source.read_bytes())
    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k))[1])
    monkeypatch.setitem(matplotlib.rcParams, "backend", "svg")  # as in a notebook: not to be changed
    draw_run(folder)
    assert matplotlib.rcParams["backend"] == "svg"
    assert folder.figure.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert sorted(os.listdir(folder.path)) == sorted(["figure.png", "queries_test.parquet", *["metrics.csv"] * metrics])
    curve, examples, scores = drawn[0].axes
    lines = {line.get_label(): np.size(line.get_xdata()) for axes in (curve, scores) for line in axes.get_lines()}
    steps = 2 * len(Tabled().train_dataloader())
    expected = {"train/loss": steps, "val/loss": 2, "val mAP@10, text to audio": 2}
    assert lines == (expected if metrics else {})
    rows = rows_of(read_queries(folder.queries("test")), "text_to_audio")
    score = 100 * np.mean([row["AP@10"] for row in rows])
    assert drawn[0].get_suptitle() == f"a$b$, seed 7: text to audio mAP@10 {score:.1f} % (test, 36 queries, pool of 12)"
    headings = [text.get_text() for text in examples.texts if text.get_text().startswith("“")]
    ranks = [float(re.search(r"rank ([\d.]+)\)$", heading)[1]) for heading in headings]  # type: ignore[index]
    assert ranks == sorted(ranks)
    assert len(headings) == 5
    assert len(examples.texts) == 5 * 6


def test_the_progress_bar_shows_three_figures_by_short_names(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"v_num": 3, "train/loss": 0.5, "train/tau": 0.1, "val/text_to_audio/mAP@10": 0.25}
    monkeypatch.setattr(RichProgressBar, "get_metrics", lambda *_: dict(known))
    assert ProgressBar().get_metrics(None, None) == {"loss": 0.5, "mAP@10": 0.25}  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", ["test", "validate", "predict"])
def test_a_finished_bar_is_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    bar, screen = ProgressBar(), io.StringIO()
    monkeypatch.setattr(rich, "_console", Console())  # the one that Lightning changes
    bar._console_kwargs = {"file": screen, "force_terminal": True, "width": 80}
    trainer = tiny_trainer(tmp_path, enable_progress_bar=True, callbacks=[bar])
    getattr(trainer, stage)(tiny_model(), datamodule=TinyData(), **({} if stage == "predict" else {"verbose": False}))
    name = {"test": "Testing", "validate": "Validation", "predict": "Predicting"}[stage]
    shown, _, after = screen.getvalue().rpartition(name)
    assert name in shown
    assert after.endswith("\r\x1b[1A\x1b[2K")  # up to the bar's line, which is erased
