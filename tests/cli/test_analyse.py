"""`audio-relevance analyse`, `forgetting` and `rank-agreement`: what they write, and what they refuse."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from cli.__main__ import main
from experiments.results.experiment import read_experiment
from tests.support.command_line import refused
from tests.support.compared import NAMES, write_run
from tests.support.judgements import write_rows

FILES = (
    *("calibration.csv", "calibration.png", "errors.csv", "hubness.csv", "hubness.png", "k_occurrence.csv"),
    *("near_misses.csv", "performance.csv", "performance.png"),
)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with runs a/0 and b/0; b is the better one."""
    monkeypatch.chdir(tmp_path)
    for name, seed, signal in (("a", 1, 1.0), ("b", 2, 2.0)):
        write_run(Path(name) / "0", NAMES, seed, signal)
    return tmp_path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_files_and_figures(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", "a", "b", "--output", "found"]) == 0
    out = capsys.readouterr().out
    assert "Test split: text to audio 78 queries in a pool of 26" in out
    assert "no run has a saved config, so its data are not known" in out
    assert "Rarest word: by the number of 78 queries that hold it" in out
    assert out.endswith("analysis: found\n")
    assert sorted(path.name for path in Path("found").iterdir()) == sorted(FILES)
    whole = {
        (row["method"], row["minus"]): row
        for row in rows_of(Path("found/performance.csv"))
        if row["group"] == "all" and row["metric"] == "mAP@10"
    }
    means = {name: read_experiment(Path(name)).directions["text_to_audio"].scores["mAP@10"].mean() for name in "ab"}
    for name, mean in means.items():
        assert float(whole[name, ""]["mean"]) == pytest.approx(mean)
    assert float(whole["b", "a"]["mean"]) == pytest.approx(means["b"] - means["a"])
    assert whole["a", ""]["p"] == ""
    assert len(rows_of(Path("found/k_occurrence.csv"))) == 2 * len(NAMES)
    errors = rows_of(Path("found/errors.csv"))
    assert [(row["method"], row["source"]) for row in errors] == [("a", ""), ("b", "")]
    assert int(errors[0]["errors"]) == len(
        {row["query"] for row in rows_of(Path("found/near_misses.csv")) if row["method"] == "a"}
    )


def test_lists_say_which_near_misses_are_right(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", "a", "--output", "first"]) == 0
    row = rows_of(Path("first/near_misses.csv"))[0]
    write_rows(runs / "lists.csv", ("query", "audio_filenames"), (row["query"], [row["near_miss"]]))
    capsys.readouterr()
    assert main(["analyse", "a", "--output", "second", "--relevant_clips", "lists.csv"]) == 0
    (line,) = rows_of(Path("second/errors.csv"))
    assert (line["source"], line["errors_known"], line["best_right"]) == ("listed", "1", "1.0")
    assert rows_of(Path("second/near_misses.csv"))[0]["listed"] == "1.0"
    assert "listed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("analyse", "a", "--output", "a.csv"), "error: a.csv: is a file; give a folder"),
        (("analyse", "none", "--output", "x"), "error: none: no such folder; give an experiment's"),
        (("analyse", "a", "--output", "x", "--bank", "0"), "error: --bank is 0; give at least 1, or leave it out"),
        (("analyse", "a", "--output", "x", "--bank", "5"), "error: a/0: no run (no config_fit.yaml in it); give"),
        (("analyse", "a", "--output", "x", "--ratings", "r"), "error: --ratings are of the validation split"),
        (
            ("analyse", "a", "--output", "x", "--split", "validation", "--relevant_clips", "r"),
            "error: --relevant_clips are of the test split",
        ),
        (("analyse", "a", "--output", "x", "--relevant_clips", "r.csv"), "error: r.csv: no such file; get the"),
        (("forgetting", "r.csv"), "error: r.csv: no such file; write a csv file with the columns fit,data,run"),
        (("rank-agreement", "a/0", "r.csv"), "error: r.csv: no such file; write a csv file with the columns query"),
        (("rank-agreement", "a/0", "pairs.csv"), "error: a/0: no run (no config_fit.yaml in it)"),
    ],
)
def test_mistakes_end_in_one_line(
    runs: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "a.csv").touch()
    (runs / "pairs.csv").write_text("query,translation\na dog,ein Hund\n")
    assert refused(capsys, *arguments).startswith(message)
    assert not (runs / "x").exists()


def test_a_sequence_of_runs_and_scores(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("first", "x", "a", ""), ("first", "y", "", 0.25), ("second", "x", "b", ""), ("second", "y", "", 0.5)]
    write_rows(runs / "fits.csv", ("fit", "data", "run", "score"), *rows)
    assert main(["forgetting", "fits.csv", "--metric", "text_to_audio/R@1"]) == 0
    scores = {name: read_experiment(Path(name)).directions["text_to_audio"].scores["R@1"].mean() for name in "ab"}
    out = capsys.readouterr().out
    assert f"backward transfer: {100 * (scores['b'] - scores['a']):+.2f} points" in out
    assert f"average after the last fit: {50 * (scores['b'] + 0.5):.1f} %" in out


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,x,,\n", "line 2: give a score or the folder of a run, one of the two"),
        ("a,x,a,0.5\n", "line 2: give a score or the folder of a run, one of the two"),
        ("a,x,,1.5\n", "line 2: score is '1.5'; give a number from 0 to 1"),
        ("a,x,,good\n", "line 2: score is 'good'; give a number from 0 to 1"),
        (",x,,0.5\n", "line 2: fit or data is empty; name both"),
        ("a,x,gone,\n", "fits.csv, line 2: gone: no such folder; give an experiment's"),
        ("a,x,,0.5\na,x,,0.5\n", "line 3: fit 'a' on data 'x' comes twice; delete one of the rows"),
        ("", "fits.csv: holds no scores"),
    ],
)
def test_a_row_of_fits_is_refused_by_its_line(
    runs: Path, row: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "fits.csv").write_text(f"fit,data,run,score\n{row}")
    assert message in refused(capsys, "forgetting", "fits.csv")


def test_a_column_that_is_there_twice_and_a_metric_of_both_directions(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "fits.csv").write_text("fit,data,score,score\na,x,0.5,0.6\n")
    assert "fits.csv: column 'score' is there twice in the first line" in refused(capsys, "forgetting", "fits.csv")
    (runs / "fits.csv").write_text("fit,data,run\na,x,a\n")
    message = refused(capsys, "forgetting", "fits.csv", "--metric", "R@1")
    assert "--metric R@1 is of both directions; name one of them, such as text_to_audio/R@1" in message


@pytest.mark.parametrize("name", ["errors.csv", "calibration.png"])
def test_a_folder_in_place_of_a_file_is_refused_before_the_work(
    runs: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "x" / name).mkdir(parents=True)
    assert f"x/{name}: cannot be written (Is a directory)" in refused(capsys, "analyse", "a", "--output", "x")
    assert [path.name for path in (runs / "x").iterdir()] == [name]


def test_pairs_are_not_written_over(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "pairs.csv").write_text("query,translation\na dog,ein Hund\n")
    message = refused(capsys, "rank-agreement", "a/0", "pairs.csv", "--output", "pairs.csv")
    assert "pairs.csv: is read too, and would be written over; give another place" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "pairs.csv: is empty; write a csv file with the columns query,translation"),
        ("query,translation\na dog,\n", "pairs.csv, line 2: the translation is empty; give both texts of each pair"),
        ("query,translation\n", "pairs.csv: holds no queries"),
        ("query,german\na,b\n", "pairs.csv: column 'translation' is missing"),
    ],
)
def test_a_pair_is_refused_by_its_line(runs: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "pairs.csv").write_text(text)
    assert message in refused(capsys, "rank-agreement", "a/0", "pairs.csv")


def test_an_analysis_of_other_pools_is_refused(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(runs / "b")
    write_run(Path("b/0"), NAMES[:20], 3, 1.0)
    assert "were evaluated on different pools" in refused(capsys, "analyse", "a", "b", "--output", "x")
    assert np.all([not (runs / "x" / name).exists() for name in FILES])
