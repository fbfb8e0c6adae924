"""`audio-relevance submit` with runs: it scores itself as `test` does, and cuts long recordings in a fixed way."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
import yaml

from cli.__main__ import main
from retrieval import load_run
from retrieval.dcase.forms import FORMS
from retrieval.dcase.submission import submit
from retrieval.dcase.systems import open_system
from tests.support.command_line import refused
from tests.support.recordings import embedded, model_of, other_weights, tiny_run
from train import main as train

pytestmark = pytest.mark.slow  # a run is trained
LABEL = "Xie_TAU_task6_1"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus in Clotho's layout, a run of it, and one of other weights."""
    folder = tmp_path_factory.mktemp("dcase")
    run = tiny_run(folder)
    other = folder / "runs" / "other" / "0"
    shutil.copytree(run, other)
    shutil.copy(other_weights(run, folder), other / "checkpoints" / "best.ckpt")
    return folder


def captions(folder: Path) -> Path:
    return folder / "clotho" / "clotho_csv_files" / "clotho_captions_evaluation.csv"


def audio(folder: Path) -> Path:
    return folder / "clotho" / "clotho_audio_files" / "evaluation"


def run_of(folder: Path, name: str = "tiny") -> str:
    return str(folder / "runs" / name / "0")


def result_of(run: str) -> dict[str, float]:
    rows = [row for row in pq.read_table(f"{run}/queries_test.parquet").to_pylist() if row["direction"][0] == "t"]
    return {name: float(np.mean([row[name] for row in rows])) for name in ("AP@10", "R@1", "R@5", "R@10")}


@pytest.mark.parametrize("year", FORMS)
@pytest.mark.parametrize("twice", [False, True])
def test_it_scores_itself_as_test_does(trained: Path, tmp_path: Path, year: int, twice: bool) -> None:
    runs = [run_of(trained)]
    if twice:  # the mean of two equal runs is each
        shutil.copytree(runs[0], tmp_path / "copy")
        runs.append(str(tmp_path / "copy"))
    made = submit(runs, captions(trained), audio(trained), FORMS[year], LABEL, tmp_path / "out")
    expected = result_of(runs[0])
    assert made.scored["mAP@10"][0] == expected["AP@10"]  # to the last digit
    assert [made.scored[name][0] for name in ("R@1", "R@5", "R@10")] == [expected[f"R@{k}"] for k in (1, 5, 10)]
    assert (made.queries, made.scored_queries, made.clips, made.cut) == (20, 20, 4, "")
    assert made.scored[FORMS[year].metric]


def test_two_runs_are_fused_by_their_weights(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run_of(trained), run_of(trained, "other")]
    command = ["submit", "--run", *runs, "--weights", "1", "3", "--queries", str(captions(trained))]
    options = ["--audio", str(audio(trained)), "--year", "2025", "--label", LABEL, "--output", str(tmp_path)]
    assert main([*command, *options]) == 0
    out = capsys.readouterr().out
    assert f"weights: 0.25 {runs[0]}, 0.75 {runs[1]} (1 3)" in out
    output = tmp_path / LABEL / f"{LABEL}.output.csv"
    with output.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    texts, expected = [row[0] for row in rows], np.zeros((len(rows), 4))
    for weight, run in zip((0.25, 0.75), runs, strict=True):
        model = load_run(run)
        files = [audio(trained) / name for name in header[1:]]
        expected += weight * model.similarity(model.encode_text(texts), model.encode_audio(files, progress=False))
    np.testing.assert_allclose(np.array([row[1:] for row in rows], np.float64), expected, atol=1e-6)
    meta = yaml.safe_load(output.with_name(f"{LABEL}.meta.yaml").read_text())
    dual = model_of(Path(runs[0]))
    parts = (dual.audio_encoder, dual.text_encoder, dual.matcher)
    parameters = sum(parameter.numel() for part in parts for parameter in part.parameters())
    assert meta["system"]["complexity"]["total_parameters"] == 2 * parameters
    assert meta["system"]["description"]["ensemble"] == 2
    assert meta["submission"] | {"authors": 0} == {"label": LABEL, "name": None, "abbreviation": None, "authors": 0}
    assert "fill in by hand: submission.name, submission.abbreviation, submission.authors.0.lastname" in out
    manifest = json.loads(output.with_name(f"{LABEL}.manifest.json").read_text())
    assert [each["weight"] for each in manifest["systems"]] == [0.25, 0.75]

    check = ["submit", "--check", str(output), "--queries", str(captions(trained)), "--audio", str(audio(trained))]
    assert main([*check, "--year", "2025"]) == 0
    checked = capsys.readouterr().out
    assert checked == out[: len(checked)]  # the same figures, from the file alone
    assert "column 'caption' is missing; 2022 asks for it" in refused(capsys, *check, "--year", "2022")
    again = refused(capsys, *command, *options)
    assert f"is there already; delete {tmp_path / LABEL}, or give another --label or --output" in again


def test_a_run_by_two_names_is_given_twice(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run_of(trained), str(Path(run_of(trained)).parent)]  # the experiment's folder stands for its only run
    options = ["--queries", str(captions(trained)), "--audio", str(audio(trained)), "--year", "2025", "--label", LABEL]
    message = refused(capsys, "submit", "--run", *runs, *options, "--output", str(tmp_path / "out"))
    assert f"{runs[1]}: given twice; name each run once" in message
    assert not (tmp_path / "out").exists()


def test_queries_of_other_recordings_are_not_scored(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "q.csv").write_text(
        "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\nother.wav,dogs,rain,bells,wind,birds\n"
    )
    made = submit([run_of(trained)], tmp_path / "q.csv", audio(trained), FORMS[2025], LABEL, tmp_path / "out")
    assert (dict(made.scored), made.scored_queries, made.queries) == ({}, 0, 5)
    assert "not scored: none of the recordings that the query file names is in the folder of recordings" in caplog.text


def test_long_recordings_are_cut_at_the_beginning_and_said(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "audio"
    shutil.copytree(audio(trained), folder)
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * 16000)
    soundfile.write(folder / "long.wav", noise, 16000)
    queries = tmp_path / "retrieval_captions.csv"
    queries.write_text("caption\nrain falls\na dog\n")
    made = submit([run_of(trained)], queries, folder, FORMS[2025], LABEL, tmp_path / "out")
    assert made.cut == "1 of 5 recordings are longer than 2 s: their first 2 s were embedded"
    assert made.scored == {}
    rows = [line.split(",") for line in made.output.read_text().splitlines()]
    model = model_of(Path(run_of(trained)))
    vector = torch.from_numpy(embedded(model, folder / "long.wav"))
    with torch.inference_mode():
        expected = (model.embed_text(["rain falls", "a dog"]) @ vector).tolist()
    column = rows[0].index("long.wav")
    assert [float(row[column]) for row in rows[1:]] == pytest.approx(expected, abs=1e-6)
    results = yaml.safe_load(made.output.with_name(f"{LABEL}.meta.yaml").read_text())["results"]
    assert results["development_testing"]["mAP@10"] == pytest.approx(result_of(run_of(trained))["AP@10"], abs=1e-6)


def test_a_recording_that_cannot_be_embedded_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "audio"
    shutil.copytree(audio(trained), folder)
    soundfile.write(folder / "nan.wav", np.full(8000, np.nan), 8000, subtype="FLOAT")
    options = ["--queries", str(captions(trained)), "--audio", str(folder), "--year", "2023", "--label", LABEL]
    message = refused(capsys, "submit", "--run", run_of(trained), *options, "--output", str(tmp_path / "out"))
    assert "nan.wav: cannot be embedded (1 such files)" in message
    assert not (tmp_path / "out").exists()


def test_weights_can_be_searched_where_the_runs_were_validated(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [run_of(trained), run_of(trained, "other")]
    options = ["--queries", str(captions(trained)), "--audio", str(audio(trained)), "--year", "2024", "--label", LABEL]
    command = ["submit", "--run", *runs, *options, "--output", str(tmp_path), "--weights"]
    assert "has no embeddings of its validation split" in refused(capsys, *command, "validation")
    assert "weights are never searched on the test split" in refused(capsys, *command, "test")
    for name in ("tiny", "other"):
        assert (
            train(["validate", "--config", f"{run_of(trained, name)}/config_fit.yaml", "--run.experiment", name]) == 0
        )
    assert main([*command, "validation"]) == 0
    manifest = json.loads((tmp_path / LABEL / f"{LABEL}.manifest.json").read_text())
    assert manifest["weights_from"].startswith("searched on validation, text to audio mAP@10 ")
    assert sum(each["weight"] for each in manifest["systems"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--year", "2022"], "give --run, --label and --output to write a submission, or --check to check a file"),
        (["--year", "2022", "--check", "x.csv", "--run", "r"], "--check goes without --run"),
        (
            ["--year", "2022", "--run", "r", "r", "--label", LABEL, "--output", "o"],
            "r: given twice; name each run once",
        ),
        (["--year", "2022", "--run", "r", "--label", "Xie", "--output", "o"], "--label Xie: give Surname_Inst"),
        (["--year", "2021", "--check", "x.csv"], "invalid choice: 2021"),
    ],
)
def test_mistakes_end_in_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, "submit", "--queries", "q.csv", "--audio", "a", *arguments)


def test_an_exported_model_is_a_system_without_a_run(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported = tmp_path / "exported"
    assert main(["export", "--run", run_of(trained), "--output", str(exported)]) == 0
    systems = [open_system(name) for name in (run_of(trained), str(exported))]
    assert [(system.max_seconds, system.batch_size) for system in systems] == [(2.0, 6), (2.0, 32)]
    made = submit([str(exported)], captions(trained), audio(trained), FORMS[2023], LABEL, tmp_path / "out")
    assert made.scored["mAP@10"][0] == pytest.approx(result_of(run_of(trained))["AP@10"])
    command = ["submit", "--run", str(exported), "--queries", str(captions(trained)), "--audio", str(audio(trained))]
    options = ["--year", "2023", "--label", LABEL, "--output", str(tmp_path / "again"), "--weights", "validation"]
    assert "is no run, so weights cannot be searched; give --weights equal" in refused(capsys, *command, *options)
