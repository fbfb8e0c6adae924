"""The main job in little: `train.py` from config to run folder on a corpus rendered for it."""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import yaml

from cli.config_checks import warn_of_other_schedule
from cli.lightning_cli import RetrievalCLI
from common.errors import RunError
from datamodules.synthetic import Synthetic
from experiments.loggers.csv_logger import read_rows
from experiments.run_folder import RunFolder
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.retrieval_module import RetrievalModule
from lightning_modules.training.schedules import Constant, Schedule, WarmupCosine
from tests.support.runs import arguments, fit_killed
from train import main

pytestmark = pytest.mark.slow

FILES = [
    "checkpoints/best.ckpt",
    "checkpoints/last.ckpt",
    "config_fit.yaml",
    "figure.png",
    "metrics.csv",
    "pool_test.safetensors",
    "provenance.json",
    "queries_test.parquet",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one run was trained and tested."""
    folder = tmp_path_factory.mktemp("fit")
    assert main(["fit", *arguments(folder)]) == 0
    return folder


def test_a_run_leaves_its_folder(folder: Path) -> None:
    run = folder / "runs" / "demo_listnet" / "0"
    assert [name for name in FILES if not (run / name).is_file()] == []
    assert not [path for path in run.rglob(".*") if path.is_file()]  # nothing half-written

    rows = pq.read_table(run / "queries_test.parquet").to_pylist()
    assert [row["direction"] for row in rows] == ["text_to_audio"] * 30 + ["audio_to_text"] * 6
    assert {row["pool_size"] for row in rows[:30]} == {6}
    assert all(0 <= row["nDCG@10"] <= 1 for row in rows)

    logged = {name for row in read_rows(run / "metrics.csv") for name in row}
    assert {"train/loss", "train/lr", "val/loss", "val/text_to_audio/mAP@10", "test/audio_to_text/hit@5"} <= logged
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["test"]["data"]["test"]["clips"] == 6
    assert provenance["test"]["data_set"] == provenance["fit"]["data_set"] == "Synthetic"
    assert yaml.safe_load((run / "config_fit.yaml").read_text())["data"]["init_args"]["train_clips"] == 12


def test_an_earlier_run_is_not_lost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = folder / "runs" / "demo_listnet" / "0" / "checkpoints" / "best.ckpt"
    before = best.read_bytes()
    assert main(["fit", *arguments(folder)]) == 1
    assert "holds an earlier run; continue it with --run.resume true, replace it" in capsys.readouterr().err
    mistaken = [*arguments(folder), "--run.overwrite", "true", "--data.batch_size", "100"]
    assert main(["fit", *mistaken]) == 1
    assert best.read_bytes() == before


def test_files_that_the_program_did_not_write_stay(folder: Path) -> None:
    run = folder / "runs" / "foreign" / "0"
    run.mkdir(parents=True)
    for name in ("notes.txt", "embeddings.parquet"):
        (run / name).write_text(name)
    assert main(["fit", *arguments(folder), "--run.experiment", "foreign", "--run.test_after_fit", "false"]) == 0
    assert (run / "checkpoints" / "best.ckpt").is_file()
    assert [(run / name).read_text() for name in ("notes.txt", "embeddings.parquet")] == [
        "notes.txt",
        "embeddings.parquet",
    ]


@pytest.mark.parametrize(
    "mistake",
    [
        ["--model.optimizer.lr", "-1"],
        ["--trainer.val_check_interval", "1000"],
        ["--trainer.accumulate_grad_batches", "0"],
        ["--trainer.limit_train_batches", "0"],
    ],
)
@pytest.mark.parametrize("experiment", ["demo_listnet", "new"])
def test_a_command_that_trains_nothing_leaves_all_as_it_was(folder: Path, mistake: list[str], experiment: str) -> None:
    before = {path: path.read_bytes() for path in (folder / "runs").rglob("*") if path.is_file()}
    options = [*arguments(folder), "--run.experiment", experiment, "--run.overwrite", "true", *mistake]
    with contextlib.suppress(Exception):  # of a library: the message is another test's affair
        main(["fit", *options])
    after = {path: path.read_bytes() for path in (folder / "runs").rglob("*") if path.is_file()}
    after = {path: text for path, text in after.items() if ".locks" not in path.parts}
    assert after == {path: text for path, text in before.items() if ".locks" not in path.parts}
    assert not (folder / "runs" / "new").exists()


def test_a_name_leads_out_of_no_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("..", "a/../../b", "two\nlines"):
        assert main(["fit", *arguments(folder), "--run.experiment", name]) == 1
        assert capsys.readouterr().err.count("\n") == 1
    assert not (folder / "0").exists()


def test_a_run_can_be_tested_again_and_resumed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder / "runs" / "demo_listnet" / "0"
    queries = (run / "queries_test.parquet").read_bytes()
    (run / "queries_test.parquet").unlink()
    assert main(["test", *arguments(folder)]) == 0
    assert (run / "queries_test.parquet").read_bytes() == queries

    assert main(["fit", *arguments(folder, epochs=2), "--run.resume", "true"]) == 0
    rows = read_rows(run / "metrics.csv")
    assert [row["epoch"] for row in rows if "val/loss" in row] == [0, 1]
    assert [row["step"] for row in rows if "test/text_to_audio/R@1" in row] == [20]  # not that after the first epoch


def test_a_resumed_run_keeps_its_settings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *arguments(folder, 3), "--run.resume", "true", "--model.objective.tau", "0.1"]) == 1
    error = capsys.readouterr().err
    assert "cannot be resumed with other settings (model.objective.init_args.tau: 0.05 before, 0.1 now)" in error


def skip_missing(data: Synthetic) -> None:
    """Like Clotho, which continues without recordings that are not there."""
    data.missing_audio = "skip"


def test_a_resumed_run_keeps_its_global_batch_and_its_recordings(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, resume = folder / "runs" / "demo_listnet" / "0", ["--run.resume", "true"]
    before = {path: path.read_bytes() for path in (run / "provenance.json", run / "config_fit.yaml")}
    assert main(["fit", *arguments(folder, 3), *resume, "--trainer.accumulate_grad_batches", "2"]) == 1
    error = capsys.readouterr().err
    assert "resumed with other settings (trainer.accumulate_grad_batches: 1 before, 2 now); use the configs it" in error
    fewer = folder / "fewer"
    shutil.copytree(folder / "corpus", fewer)
    for path in sorted((fewer / "clotho_audio_files" / "development").iterdir())[:5]:
        path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datamodules.synthetic.Synthetic.prepare_data", skip_missing)  # it would render them again
        assert main(["fit", *arguments(folder, 3), *resume, "--data.root", str(fewer)]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.search(
        r"runs/demo_listnet/0: cannot be resumed with other recordings \(train: 12 with 60 captions, sha256 \w{12} "
        r"before, 7 with 35 captions, sha256 \w{12} now\); restore those it began with, or ",
        error,
    )
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize(
    ("epochs", "schedule", "message"),
    [
        (
            40,
            WarmupCosine(),
            r"max_epochs is 40, was 25: the learning rate goes up again \(at epoch 25 0\.326 of its hi",
        ),
        (
            10,
            WarmupCosine(),
            r"max_epochs is 10, was 25: the learning rate goes down sooner \(at epoch 10 0\.005 of its",
        ),
        (25, WarmupCosine(), None),
        (40, WarmupCosine(until=20), None),
        (40, Constant(), None),
        (-1, Constant(), None),
    ],
)
def test_another_number_of_epochs_warns_where_the_learning_rate_changes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, epochs: int, schedule: Schedule, message: str | None
) -> None:
    (tmp_path / "config_fit.yaml").write_text("model: {}\ntrainer: {max_epochs: 25}\n")
    warn_of_other_schedule(tmp_path / "config_fit.yaml", schedule, epochs)
    assert len(caplog.messages) == (message is not None)
    assert message is None or re.search(message, caplog.messages[0])


def test_results_of_another_run_do_not_replace_these(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder / "runs" / "demo_listnet" / "0"
    other = folder / "other.ckpt"
    other.write_bytes((run / "checkpoints" / "best.ckpt").read_bytes())
    assert main(["test", *arguments(folder), "--ckpt_path", str(other)]) == 1
    assert "whose results would be replaced" in capsys.readouterr().err
    overwriting = ["--run.overwrite", "true", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]
    assert main(["fit", *arguments(folder), *overwriting]) == 1
    assert "is of the run that --run.overwrite would delete" in capsys.readouterr().err
    itself = ["--model.relevance", "EstimatedCorrespondence", "--model.relevance.teachers", f"['{run}']"]
    assert main(["fit", *arguments(folder), *overwriting[:2], *itself]) == 1
    assert f"error: {run} is of the run that --run.overwrite would delete" in capsys.readouterr().err


def test_a_part_of_the_test_split_gives_no_results(folder: Path) -> None:
    queries = folder / "runs" / "demo_listnet" / "0" / "queries_test.parquet"
    before = queries.stat().st_mtime_ns
    assert main(["test", *arguments(folder), "--trainer.limit_test_batches", "0.5", "--data.batch_size", "3"]) == 0
    assert queries.stat().st_mtime_ns == before


@pytest.mark.parametrize(("command", "limit"), [("validate", "val"), ("test", "test"), ("predict", "predict")])
def test_a_command_that_would_evaluate_nothing_is_refused(
    folder: Path, command: str, limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *arguments(folder), f"--trainer.limit_{limit}_batches", "0"]) == 1
    told = f"trainer.limit_{limit}_batches is 0, so `{command}` would do nothing; leave it out\n"
    assert capsys.readouterr().err.endswith(told)


def test_a_fit_that_tests_nothing_says_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = [*arguments(folder), "--run.experiment", "untested", "--trainer.limit_test_batches", "0"]
    assert main(["fit", *options]) == 0
    assert "trainer.limit_test_batches is 0, so nothing is tested" in caplog.text
    assert not (folder / "runs" / "untested" / "0" / "queries_test.parquet").exists()


def test_a_trial_run_leaves_an_earlier_one(folder: Path) -> None:
    run = folder / "runs" / "demo_listnet" / "0"
    before = (run / "checkpoints" / "best.ckpt").read_bytes()
    assert main(["fit", *arguments(folder), "--run.overwrite", "true", "--trainer.fast_dev_run", "true"]) == 0
    assert (run / "checkpoints" / "best.ckpt").read_bytes() == before


def test_the_saved_config_is_enough_to_test_a_run(folder: Path) -> None:
    run = folder / "runs" / "demo_listnet" / "0"
    assert main(["test", "--config", str(run / "config_fit.yaml")]) == 0
    assert (run / "config_test.yaml").is_file()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("data.batch_size", "1", "data.batch_size is 1 on one device: a single pair leaves nothing to rank"),
        ("data.sample_rate", "8000", "data.sample_rate is 8000 Hz, but the audio encoder wants 16000 Hz"),
        ("data.max_seconds", "0.00001", "data.max_seconds is 1e-05: shorter than one sample at 16000 Hz; raise it"),
    ],
)
def test_data_settings_that_make_no_training(
    folder: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, message: str
) -> None:
    assert main(["fit", *arguments(folder), "--run.experiment", "mistaken", f"--{option}", value]) == 1
    assert message in capsys.readouterr().err


def test_a_checkpoint_of_another_model_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", *arguments(folder), "--model.matcher.embedding_dim", "32"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "best.ckpt: weights of another model: 4 of another shape (e.g. matcher.audio_head.bias)" in error


def test_one_flag_resumes_a_run_wherever_it_was_killed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    begin = folder / "begin.ckpt"
    begin.write_bytes((folder / "runs" / "demo_listnet" / "0" / "checkpoints" / "best.ckpt").read_bytes())
    runs = folder / "runs"
    whole, run = runs / "whole" / "0", runs / "killed" / "0"

    def options(experiment: str) -> list[str]:
        resume = ["--run.experiment", experiment, "--run.resume", "true", "--run.save_minutes", "1e-9"]
        return [*arguments(folder), *resume, "--model.init_from", str(begin), "--run.test_after_fit", "true"]

    assert main(["fit", *options("whole")]) == 0  # there is nothing to resume yet
    assert "no last.ckpt to continue from, so the run starts from the beginning" in caplog.text
    fit_killed(run, "config", options("killed"))
    assert {path.name for path in run.iterdir()} == {f".config_fit.{os.getpid()}.part.yaml", ".former"}
    (run / "metrics.csv").write_text("step,train/loss\n99,1.0\n")  # stale
    fit_killed(run, "training", options("killed"), call=5)
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4
    fit_killed(run, "test", options("killed"))
    assert not (run / "queries_test.parquet").exists()
    for _ in range(2):  # the second time, all was finished
        with pytest.MonkeyPatch.context() as patch:
            patch.delattr(RetrievalModule, "on_train_batch_start")  # nothing is trained
            assert main(["fit", *options("killed")]) == 0
        for name in ("metrics.csv", "queries_test.parquet"):
            assert (run / name).read_bytes() == (whole / name).read_bytes(), name
        ours, theirs = (json.loads((path / "provenance.json").read_text()) for path in (run, whole))
        assert ours["fit"]["weights_sha256"] == theirs["fit"]["weights_sha256"]
        assert ours["test"]["weights_sha256"] == ours["fit"]["weights_sha256"]["best"]
        assert [(part["first_step"], part["last_step"]) for part in ours["fit"]["parts"]] == [(0, 4), (4, 10)]
        assert not [path for path in run.rglob(".*") if path.is_file()]


def test_a_run_whose_last_checkpoint_was_deleted_is_not_replaced(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder / "runs" / "demo_listnet" / "0", folder / "runs" / "pruned" / "0")
    (folder / "runs" / "pruned" / "0" / "checkpoints" / "last.ckpt").unlink()
    assert main(["fit", *arguments(folder), "--run.experiment", "pruned", "--run.resume", "true"]) == 1
    assert (
        "holds results, but no last.ckpt to continue from; replace them with --run.overwrite" in capsys.readouterr().err
    )


# ------------------------------------------------------------------------------------- two processes in the same folder


def meanwhile(patch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Let something happen while the next `fit` waits for its folder."""
    lock = RunFolder.lock

    def wait(folder: RunFolder, patience: float = 0.0) -> Any:
        do()
        return lock(folder, patience)

    patch.setattr(RunFolder, "lock", wait)


@pytest.mark.parametrize("resume", ["false", "true"])
def test_a_run_that_ends_while_another_waits_for_its_folder_is_kept(
    folder: Path, capsys: pytest.CaptureFixture[str], resume: str
) -> None:
    finished, run = folder / "runs" / "demo_listnet" / "0", folder / "runs" / f"waited {resume}" / "0"
    trained = yaml.safe_load((finished / "config_fit.yaml").read_text())["trainer"]["max_epochs"]
    options = [*arguments(folder, trained), "--run.experiment", run.parent.name, "--run.resume", resume]
    with pytest.MonkeyPatch.context() as patch:
        meanwhile(patch, lambda: shutil.copytree(finished, run))
        patch.delattr(RetrievalModule, "on_train_batch_start")  # nothing is trained
        assert main(["fit", *options]) == (0 if resume == "true" else 1)
    assert ("holds an earlier run; continue it with" in capsys.readouterr().err) == (resume == "false")
    for name in ("metrics.csv", "queries_test.parquet", "checkpoints/last.ckpt"):
        assert (run / name).read_bytes() == (finished / name).read_bytes(), name


def test_what_a_killed_process_wrote_while_it_ended_is_used(folder: Path) -> None:
    runs = folder / "runs"
    whole, run, later = (runs / name / "0" for name in ("whole", "ending", "later"))

    def options(path: Path) -> list[str]:
        names = {"run.experiment": path.parent.name, "run.resume": "true", "run.save_minutes": 1e-9}
        begin = ["--model.init_from", str(folder / "begin.ckpt")]  # as `whole` had it
        return [
            *arguments(folder),
            *(text for name, value in names.items() for text in (f"--{name}", str(value))),
            *begin,
        ]

    fit_killed(run, "training", options(run), call=3)
    shutil.copytree(run, later)
    fit_killed(later, "training", options(later), call=5)
    last = [torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] for path in (run, later)]
    assert last == [2, 6]
    with pytest.MonkeyPatch.context() as patch:
        meanwhile(patch, lambda: shutil.copytree(later, run, dirs_exist_ok=True))
        assert main(["fit", *options(run)]) == 0
    for name in ("metrics.csv", "queries_test.parquet"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name


def test_the_folder_is_held_until_the_test_is_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder(folder / "runs" / "held" / "0")
    refused: list[str] = []
    report = DualEncoder.on_test_epoch_end

    def look(model: DualEncoder) -> None:
        with pytest.raises(RunError) as caught:
            run.lock(patience=0.0)
        refused.append(str(caught.value))
        report(model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DualEncoder, "on_test_epoch_end", look)
        assert main(["fit", *arguments(folder), "--run.experiment", "held"]) == 0
    assert len(refused) == 1
    assert "another process is training in it" in refused[0]
    held = run.lock(patience=0.0)
    with pytest.MonkeyPatch.context() as patch:
        meanwhile(patch, lambda: None)  # without patience
        patch.setattr(RetrievalCLI, "instantiate_classes", pytest.fail)  # it is refused before a model is built
        assert main(["fit", *arguments(folder), "--run.experiment", "held"]) == 1
    assert "another process is training in it; wait" in capsys.readouterr().err
    held.release()
