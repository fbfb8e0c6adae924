"""The main job in little: `train.py` from config to run folder on a corpus rendered for it."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from lightning.pytorch.cli import LightningArgumentParser

from lightning_modules.dual_encoder import DualEncoder
from reporting.metrics_logger import read_rows
from train import main

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


def arguments(folder: Path, epochs: int = 1) -> list[str]:
    options = {
        "config": "demo_listnet",
        "data.root": folder / "corpus",
        "data.train_clips": 12,
        "data.validation_clips": 4,
        "data.test_clips": 6,
        "data.batch_size": 6,
        "data.num_workers": 0,
        "run.root": folder / "runs",
        "trainer.max_epochs": epochs,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "trainer.enable_model_summary": "false",
        "trainer.log_every_n_steps": 1,
    }
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


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
    assert yaml.safe_load((run / "config_fit.yaml").read_text())["data"]["init_args"]["train_clips"] == 12


def test_an_earlier_run_is_not_lost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = folder / "runs" / "demo_listnet" / "0" / "checkpoints" / "best.ckpt"
    before = best.read_bytes()
    assert main(["fit", *arguments(folder)]) == 1
    assert "holds an earlier run; go on with --run.resume true, replace it" in capsys.readouterr().err
    mistaken = [*arguments(folder), "--run.overwrite", "true", "--data.batch_size", "100"]
    assert main(["fit", *mistaken]) == 1
    assert best.read_bytes() == before


def test_a_run_can_be_tested_again_and_resumed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder / "runs" / "demo_listnet" / "0"
    queries = (run / "queries_test.parquet").read_bytes()
    (run / "queries_test.parquet").unlink()
    assert main(["test", *arguments(folder)]) == 0
    assert (run / "queries_test.parquet").read_bytes() == queries

    assert main(["fit", *arguments(folder, epochs=2), "--run.resume", "true"]) == 0
    losses = [row for row in read_rows(run / "metrics.csv") if "val/loss" in row]
    assert [row["epoch"] for row in losses] == [0, 1]


def test_a_resumed_run_keeps_its_settings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *arguments(folder, 3), "--run.resume", "true", "--model.objective.tau", "0.1"]) == 1
    error = capsys.readouterr().err
    assert "cannot be resumed with other settings (model.objective.init_args.tau: 0.05 before, 0.1 now)" in error


def test_results_of_another_run_do_not_replace_these(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder / "runs" / "demo_listnet" / "0"
    other = folder / "other.ckpt"
    other.write_bytes((run / "checkpoints" / "best.ckpt").read_bytes())
    assert main(["test", *arguments(folder), "--ckpt_path", str(other)]) == 1
    assert "whose results would be replaced" in capsys.readouterr().err
    overwriting = ["--run.overwrite", "true", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]
    assert main(["fit", *arguments(folder), *overwriting]) == 1
    assert "is of the run that --run.overwrite would delete" in capsys.readouterr().err


def test_a_part_of_the_test_split_gives_no_results(folder: Path) -> None:
    queries = folder / "runs" / "demo_listnet" / "0" / "queries_test.parquet"
    before = queries.stat().st_mtime_ns
    assert main(["test", *arguments(folder), "--trainer.limit_test_batches", "0.5", "--data.batch_size", "3"]) == 0
    assert queries.stat().st_mtime_ns == before


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
    assert main(["test", *arguments(folder), "--model.embedding_dim", "32"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "best.ckpt: weights of another model: 4 of another shape (e.g. audio_head.bias)" in error


class Killed(BaseException):
    """Raised in place of a SIGKILL."""


def fit_killed(run: Path, moment: str, arguments: list[str], *, call: int = 1) -> None:
    """Run `fit` until the n-th call of something; the folder is left as it was then, half-written files included."""
    owner, name = {
        "config": (LightningArgumentParser, "save"),
        "training": (DualEncoder, "training_step"),
        "test": (DualEncoder, "test_step"),
    }[moment]
    left, calls = run.with_name("left"), []

    def stop(*positional: Any, **named: Any) -> Any:
        calls.append(name)
        if len(calls) < call:
            return original(*positional, **named)
        if moment == "config":
            Path(positional[2]).write_text("seed_everything: 0\nmodel:")
        shutil.copytree(run, left)
        raise Killed

    original = getattr(owner, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, stop)
        with pytest.raises(Killed):
            main(["fit", *arguments])
    shutil.rmtree(run)
    left.rename(run)


def test_one_flag_goes_on_with_a_run_wherever_it_was_killed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    begin = folder / "begin.ckpt"
    begin.write_bytes((folder / "runs" / "demo_listnet" / "0" / "checkpoints" / "best.ckpt").read_bytes())
    runs = folder / "runs"
    whole, run = runs / "whole" / "0", runs / "killed" / "0"

    def options(experiment: str) -> list[str]:
        resume = ["--run.experiment", experiment, "--run.resume", "true", "--run.save_minutes", "1e-9"]
        return [*arguments(folder), *resume, "--model.init_from", str(begin), "--run.test_after_fit", "true"]

    assert main(["fit", *options("whole")]) == 0  # there is nothing to resume yet
    assert "no last.ckpt to go on from, so the run begins from the beginning" in caplog.text
    fit_killed(run, "config", options("killed"))
    assert [path.name for path in run.iterdir()] == [f".config_fit.{os.getpid()}.yaml"]
    (run / "metrics.csv").write_text("step,train/loss\n99,1.0\n")  # stale
    fit_killed(run, "training", options("killed"), call=5)
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4
    fit_killed(run, "test", options("killed"))
    assert not (run / "queries_test.parquet").exists()
    for _ in range(2):  # the second time, all was finished
        with pytest.MonkeyPatch.context() as patch:
            patch.delattr(DualEncoder, "on_train_batch_start")  # nothing is trained
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
    assert "holds results, but no last.ckpt to go on from; replace them with --run.overwrite" in capsys.readouterr().err
