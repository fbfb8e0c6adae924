"""`fit` with teachers: tables are made at its start, kept, and used; mistakes end in one line and change nothing."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
import yaml

from tests.support.command_line import refused
from train import main

pytestmark = pytest.mark.slow


def write_student(folder: Path, teacher: Path, teachers: list[str]) -> Path:
    """A config like the teacher's whose relevance are teachers."""
    config = yaml.safe_load(teacher.parents[2].joinpath("tiny.yaml").read_text())
    config["model"]["relevance"] = {"class_path": "EstimatedCorrespondence", "init_args": {"teachers": teachers}}
    config["model"]["objective"] = {"class_path": "ListNet", "init_args": {"direction": "both", "omega": 0.025}}
    config["run"] = {"root": str(folder / "runs")}
    config["trainer"]["log_every_n_steps"] = 1
    path = folder / "student.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def logged(run: Path, name: str) -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def test_a_student_learns_from_the_run_of_its_seed_and_mistakes_leave_it_as_it_was(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path / "cache"))
    config = write_student(tmp_path, run, [str(run.parent / "{seed_everything}")])
    assert main(["fit", "--config", str(config)]) == 0
    student = tmp_path / "runs" / "student" / "0"
    saved = yaml.safe_load((student / "config_fit.yaml").read_text())
    assert saved["model"]["relevance"]["init_args"]["teachers"] == [str(run)]
    tables = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "teachers").glob("*.npy")}
    assert len(tables) == 2
    assert 0 < logged(student, "train/target_off_pair")[0] < 1
    assert all(math.isfinite(loss) for loss in logged(student, "val/loss"))
    assert main(["validate", "--config", str(config)]) == 0  # of the validation split alone
    assert main(["fit", "--config", str(config), "--run.overwrite", "true"]) == 0
    assert tables.items() <= {path: path.stat().st_mtime_ns for path in tables}.items()

    provenance = student / "provenance.json"
    content = json.loads(provenance.read_text())
    assert {*content["fit"]["sources"]} == {str(run)}
    content["fit"]["sources"][str(run)] = "0" * 64  # as if the teacher had been trained again
    provenance.write_text(json.dumps(content))
    error = refused(capsys, "fit", "--config", str(config), "--run.resume", "true")
    assert f"cannot be resumed with other weights of '{run}' (000000000000 before, " in error

    before = {path: path.read_bytes() for path in student.rglob("*") if path.is_file()}
    mistaken = write_student(tmp_path, run, ["runs/no_such/0"])
    error = refused(capsys, "fit", "--config", str(mistaken), "--run.overwrite", "true")
    assert error.startswith("error: teacher 'runs/no_such/0': no such folder; give a finished run such as runs/")
    nameless = write_student(tmp_path, run, ["runs/{model.nothing}/0"])
    assert "named by 'model.nothing', and there is no such setting" in refused(capsys, "fit", "--config", str(nameless))
    assert {path: path.read_bytes() for path in student.rglob("*") if path.is_file()} == before


def test_a_moving_average_of_the_student_may_teach_and_is_resumed(run: Path, tmp_path: Path) -> None:
    config = write_student(tmp_path, run, [])
    settings = yaml.safe_load(config.read_text())
    parts = [{"class_path": "SameAudio"}, {"class_path": "OwnAverage"}]
    arguments = {"parts": parts, "omegas": [None, 0.025], "weights": [0.6, 0.4]}
    settings["model"]["relevance"] = {"class_path": "MixedTargets", "init_args": arguments}
    settings["model"]["objective"]["init_args"]["omega"] = None
    config.write_text(yaml.safe_dump(settings))
    assert main(["fit", "--config", str(config)]) == 0
    student = tmp_path / "runs" / "student" / "0"
    assert 0 < logged(student, "train/target_off_pair")[0] < 0.4
    saved = torch.load(student / "checkpoints" / "last.ckpt", weights_only=True)
    (average,) = [state["average"] for name, state in saved["callbacks"].items() if "MomentumTeacher" in name]
    assert average.keys() <= saved["state_dict"].keys()
    assert main(["fit", "--config", str(config), "--run.resume", "true", "--trainer.max_epochs", "2"]) == 0
