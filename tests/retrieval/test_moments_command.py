"""`moments`: spans and rankings of a run's model, against the same by a loop; files; mistakes."""

import csv
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cli.__main__ import main
from evaluation.spans import span_metrics, span_summary
from evaluation.window_spans import spans_from_scores
from retrieval import load_run
from tests.support.moments import LINES, RATE, SECONDS, write_long
from tests.support.recordings import tiny_run

WINDOW, HOP = 2.0, 0.5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("made"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    return write_long(tmp_path)


def command(run: Path, made: tuple[Path, Path], *options: str) -> list[str]:
    annotations, audio = made
    lengths = ["--window", str(WINDOW), "--hop", str(HOP)]
    return ["moments", str(run), "--annotations", str(annotations), "--audio", str(audio), *lengths, *options]


def window_scores(run: Path, audio: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each recording the windows' starts (W,) and their scores (4, W), each window read and embedded alone."""
    model = load_run(run, "cpu")
    text = model.encode_text([str(line["query"]) for line in LINES])
    found = {}
    for name, seconds in SECONDS.items():
        samples, _ = soundfile.read(audio / f"{name}.wav", dtype="float32")
        starts = [0.0]
        while starts[-1] + WINDOW < seconds - 1e-6:
            starts.append(min(starts[-1] + HOP, seconds - WINDOW))
        cut = [samples[round(at * RATE) : round(at * RATE) + round(WINDOW * RATE)] for at in starts]
        found[name] = np.array(starts), model.similarity(text, model.encode_audio(cut, RATE, progress=False))
    return found


def test_spans_and_ranking_are_those_of_a_loop(
    run: Path, made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert main(command(run, made, "--output", str(output))) == 0
    out = capsys.readouterr().out
    assert "3 recordings, 26 windows of at most 2 s" in out
    assert "4 queries, 3 recordings" in out
    scored = window_scores(run, made[1])
    predicted, ranks = [], []
    for query, line in enumerate(LINES):
        starts, scores = scored[str(line["vid"])]
        seconds = SECONDS[str(line["vid"])]
        predicted.append(spans_from_scores(scores[query].astype(float), starts, min(WINDOW, seconds), seconds))
        best = {name: scores[query].max() for name, (_, scores) in scored.items()}
        ranks.append(1 + sum(value > best[str(line["vid"])] for value in best.values()))
    lines = [json.loads(line) for line in (output / "predictions.jsonl").read_text().splitlines()]
    assert [{key: line[key] for key in ("qid", "query", "vid")} for line in lines] == [
        {key: line[key] for key in ("qid", "query", "vid")} for line in LINES
    ]
    for line, spans in zip(lines, predicted, strict=True):
        np.testing.assert_allclose(line["pred_relevant_windows"], spans, atol=2e-3)
        written = [window[2] for window in line["pred_relevant_windows"]]
        assert written == sorted(written, reverse=True)
    annotated = [np.array(line["relevant_windows"], float) for line in LINES]
    expected = span_summary(span_metrics(predicted, annotated))
    rows = {row["metric"]: row for row in csv.DictReader((output / "figures.csv").open())}
    for name, value in expected.items():
        assert float(rows[name]["model"]) == pytest.approx(value, abs=1e-6)
    assert float(rows["R@1"]["model"]) == pytest.approx(np.mean([rank == 1 for rank in ranks]), abs=1e-6)
    assert float(rows["R@1"]["random_scores"]) == pytest.approx(1 / 3, abs=1e-6)
    assert rows["R@1"]["known_overlap"] == ""
    queries = list(csv.DictReader((output / "queries.csv").open()))
    assert [float(row["recording_rank"]) for row in queries] == ranks
    assert [row["qid"] for row in queries] == ["1", "2", "3", "4"]
    assert sorted(path.name for path in output.iterdir()) == ["figures.csv", "predictions.jsonl", "queries.csv"]


def test_a_second_evaluation_embeds_nothing(
    run: Path, made: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(run, made)) == 0
    first = capsys.readouterr().out
    assert main(command(run, made)) == 0
    second = capsys.readouterr().out
    assert "3 recordings, 3 of them embedded before" in second
    assert first.partition("\n")[2] == second.partition("\n")[2]
    (made[1] / "one.wav").unlink()
    soundfile.write(made[1] / "one.wav", np.full(round(9 * RATE), 0.1), RATE)
    assert main(command(run, made)) == 0
    assert "3 recordings, 2 of them embedded before" in capsys.readouterr().out


def test_missing_recordings(
    run: Path, made: tuple[Path, Path], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (made[1] / "two.wav").unlink()
    (made[1] / "three.wav").write_text("no audio")
    assert main(command(run, made)) == 1
    message = "long: no audio that can be read of 1 of 3 annotated recordings (two); get them, or leave their queries"
    assert message in capsys.readouterr().err
    assert main(command(run, made, "--missing", "skip")) == 0
    assert "2 queries, 1 recordings" in capsys.readouterr().out
    assert (
        "no audio that can be read of 2 of 3 annotated recordings (two, three); their queries are left" in caplog.text
    )
    soundfile.write(made[1] / "two.wav", np.ones(RATE), RATE)
    assert main(command(run, made)) == 1
    assert "of 1 of 3 annotated recordings (three); get them" in capsys.readouterr().err


def test_recordings_of_another_length_are_named(
    run: Path, made: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    soundfile.write(made[1] / "one.wav", np.sin(np.arange(3 * RATE)), RATE)
    with caplog.at_level(logging.WARNING):
        assert main(command(run, made)) == 0
    assert "1 recordings are not as long as annotated (one: 3.0 s, annotated 9)" in caplog.text


def test_the_level_changes_the_spans(run: Path, made: tuple[Path, Path], tmp_path: Path) -> None:
    lengths = []
    for level in ("0.2", "0.5", "0.8"):
        output = tmp_path / level
        assert main(command(run, made, "--level", level, "--output", str(output))) == 0
        lines = [json.loads(line) for line in (output / "predictions.jsonl").read_text().splitlines()]
        lengths.append(sum(line["pred_relevant_windows"][0][1] - line["pred_relevant_windows"][0][0] for line in lines))
    assert lengths[0] > lengths[1] > lengths[2]


def test_synthetic_recordings_are_rendered(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("datamodules.synthesis.moments.RECORDINGS", 2)
    monkeypatch.setattr("datamodules.synthesis.moments.render_moments.__defaults__", (2, 0))
    monkeypatch.chdir(tmp_path)
    assert main(["moments", str(run), "--synthetic"]) == 0
    out = capsys.readouterr().out
    assert f"moments: {tmp_path}/data/synthetic_moments/moments.jsonl, in windows of 4 s every 1 s\n" in out
    rows = [line for line in out.splitlines() if "span_" in line and "│" in line]
    assert len(rows) == 5
    assert all(row.split("│")[4].strip() == "100.0 %" for row in rows)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--window", "0"], 1, "--window is 0; give seconds from 0.1 to 3600"),
        (["--window", "nan"], 1, "--window is nan; give seconds"),
        (["--hop", "3"], 1, "--hop is 3; give seconds from 0.01 to the window's 2"),
        (["--hop", "0"], 1, "--hop is 0; give seconds"),
        (["--level", "1"], 1, "--level is 1; give a number between 0 and 1"),
        (["--synthetic"], 2, "give --annotations FILE and --audio FOLDER, or --synthetic"),
        (["--annotations", "nowhere.jsonl"], 1, "nowhere.jsonl: no such file; the files of CASTELLA"),
        (["--audio", "nowhere"], 1, "nowhere: no such folder; give the folder of the annotated recordings"),
        (["--output", "/dev/null/out"], 1, "/dev/null/out/predictions.jsonl: cannot be written"),
    ],
)
def test_bad_input_ends_in_one_line(
    run: Path,
    made: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    code: int,
    message: str,
) -> None:
    try:
        assert main(command(run, made, *options)) == code
    except SystemExit as stop:
        assert stop.code == code  # noqa: PT017
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_folder_in_place_of_a_file_is_refused_before_the_work(
    run: Path, made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "queries.csv").mkdir(parents=True)
    assert main(command(run, made, "--output", str(tmp_path / "out"))) == 1
    assert "queries.csv: cannot be written (Is a directory)" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["queries.csv"]


def test_annotations_and_audio_go_together(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in ([], ["--audio", "long"]):
        with pytest.raises(SystemExit):
            main(["moments", str(run), *options])
        assert "give" in capsys.readouterr().err
