"""A metric of one's own from the config to the comparison, and a run against its baseline."""

import contextlib
import io
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from cli.__main__ import main as command
from experiments.loggers.csv_logger import read_rows
from tests.support.runs import arguments
from train import main

METRICS = [
    {"class_path": "tests.support.own_metrics.ReciprocalRank"},
    {"class_path": "tests.support.own_metrics.BestScore", "init_args": {"scale": 2.0}},
]
MONITORED = "val/text_to_audio/ReciprocalRank"


class Runs(NamedTuple):
    """Runs of two experiments, the second with the first as its baseline, and what the second printed."""

    first: Path
    second: Path
    printed: str


def with_metrics(folder: Path, metrics: object = METRICS) -> list[str]:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"model": {"metrics": metrics}}))
    return [*arguments(folder, epochs=2), "--config", str(path)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("own")
    common = [*with_metrics(folder), "--run.monitor", MONITORED]
    assert main(["fit", *common, "--run.experiment", "first"]) == 0
    with contextlib.redirect_stdout(io.StringIO()) as out:
        options = ["--seed_everything", "1", "--run.baseline", str(folder / "runs" / "first")]
        assert main(["fit", *common, "--run.experiment", "second", *options]) == 0
    return Runs(folder / "runs" / "first" / "0", folder / "runs" / "second" / "1", out.getvalue())


pytestmark = pytest.mark.slow


def test_it_is_logged_monitored_shown_and_kept(runs: Runs) -> None:
    rows = read_rows(runs.second / "metrics.csv")
    (tested,) = [row for row in rows if "test/text_to_audio/ReciprocalRank" in row]
    assert len([row for row in rows if MONITORED in row and "val/audio_to_text/best*2" in row]) == 2
    table = pq.read_table(runs.second / "queries_test.parquet").to_pylist()
    queries = [row for row in table if row["direction"] == "text_to_audio"]
    values = [row["ReciprocalRank"] for row in queries]
    assert values == pytest.approx([1 / row["first_rank"] for row in queries])
    assert tested["test/text_to_audio/ReciprocalRank"] == pytest.approx(np.mean(values))
    (row,) = [line for line in runs.printed.splitlines() if "ReciprocalRank" in line]
    assert row.split("│")[2].strip() == f"{100 * np.mean(values):.1f} %"


def test_compare_tests_it(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["compare", str(runs.first), str(runs.second), "--metrics", "text_to_audio/ReciprocalRank"]) == 0
    printed = capsys.readouterr().out
    assert "second/1 against first/0, text to audio ReciprocalRank: " in printed
    (second_table,) = re.finditer("^audio to text *$", printed, re.M)
    assert printed.index("ReciprocalRank") < second_table.start()


def test_the_baseline_is_tested_after_the_fit(runs: Runs) -> None:
    assert "second/1 against first, text to audio mAP@10: " in runs.printed
    assert "second/1 against first, audio to text mAP@10: " in runs.printed
    rows = read_rows(runs.second / "metrics.csv")
    assert sum("test/text_to_audio/mAP@10/against_baseline/p_over_queries" in row for row in rows) == 1


@pytest.mark.parametrize(
    ("metrics", "options", "message"),
    [
        (METRICS, ["--run.monitor", "val/text_to_audio/ReciprocalRanks"], "did you mean 'val/text_to_audio/Reciproca"),
        ([METRICS[0], METRICS[0]], [], "the name ReciprocalRank is taken"),
        (METRICS, ["--run.baseline", "gone"], "run.baseline: gone: no such folder"),
    ],
)
def test_mistakes_end_in_one_line_before_anything_is_built(
    tmp_path: Path, metrics: object, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *with_metrics(tmp_path, metrics), *options]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs" / "demo_listnet").exists()
