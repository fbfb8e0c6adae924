"""A sweep from its file to its table, with a program that stands for train.py."""

import csv
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from cli.__main__ import main
from cli.config_files import ROOT
from common.errors import RunError
from experiments.run_folder import RunFolder
from experiments.sweeps.results import rows_of_trials
from experiments.sweeps.run_trial import run_trial
from experiments.sweeps.sweep_file import read_sweep, sweep_of
from experiments.sweeps.trials import Trials
from tests.support.sweeps import CONTENT, open_trials, write_sweep
from tests.support.waiting import until


@pytest.mark.slow
def test_a_sweep_from_its_file_to_its_table(stub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_sweep(stub)
    assert main(["sweep", str(path), "--folder", "sweeps"]) == 1  # since trials failed
    said = capsys.readouterr().out
    assert "failed: no such seed" in said
    assert "over seeds" in said
    with (stub / "sweeps" / "tiny" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["done"] * 4 + ["failed"] * 2
    assert [float(row["val/loss"]) for row in rows[:4]] == [0.1, 0.1, 0.2, 0.2]
    assert {row["tested text_to_audio/mAP@10"] for row in rows[:4]} == {"0.25"}
    assert rows[4]["reason"] == "no such seed"
    assert (stub / "sweeps" / "tiny" / "figure.png").stat().st_size > 1000

    assert main(["sweep", str(path), "--folder", "sweeps"]) == 1
    assert "trial 0" not in capsys.readouterr().out  # nothing was left to do


@pytest.mark.slow
def test_earlier_runs_are_noticed_before_the_first_trial(stub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    former = stub / "runs" / "tau=0.2" / "1"
    former.mkdir(parents=True)
    (former / "queries_test.parquet").write_bytes(b"")
    command = ["sweep", str(write_sweep(stub)), "--folder", "sweeps"]
    assert main(command) == 1
    assert (
        "runs/tau=0.2/1 holds an earlier run (1 of 6 trials would meet one); move them away" in capsys.readouterr().err
    )
    assert not (stub / "sweeps").exists()  # so that the sweep can begin with other arguments
    main([*command, "--", "--run.root", "elsewhere"])
    assert "trial 0 of 6" in capsys.readouterr().out


def test_a_program_that_is_not_there_is_refused(stub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", str(write_sweep(stub, program="gone.py"))]) == 1
    assert "tiny.yaml: program is gone.py: no such file beside it; give train.py" in capsys.readouterr().err


def one_trial(stub: Path, program: str) -> tuple[str, Trials]:
    """How a trial of a program ends that is given `folder`, its run folder."""
    run = RunFolder(stub / "runs" / "x" / "0")
    run.path.mkdir(parents=True)
    (stub / "stub.py").write_text(f"import pathlib, os\nfolder = pathlib.Path({str(run.path)!r})\n{program}")
    sweep = read_sweep(write_sweep(stub))
    trials = open_trials(stub, sweep)
    claim = trials.claim()
    assert claim is not None
    return run_trial(sweep, trials, claim, [], run, stub / "log"), trials


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "ending"),
    [
        ("0,nan\n1,0.5\n2,inf\n", "val/loss 0.5000"),
        ("0,nan\n1,-inf\n", "failed: val/loss was never finite; see"),
    ],
)
def test_a_value_that_is_not_finite_does_not_count(stub: Path, rows: str, ending: str) -> None:
    said, trials = one_trial(stub, f"(folder / 'metrics.csv').write_text('epoch,val/loss\\n' + {rows!r})")
    assert said.startswith(ending)
    assert rows_of_trials(read_sweep(stub / "tiny.yaml"), trials.all())


@pytest.mark.slow
def test_a_trial_that_was_killed_says_so(stub: Path) -> None:
    said, _ = one_trial(stub, "print('Epoch 1 loss=0.3', flush=True)\nos.kill(os.getpid(), 9)")
    assert said == "failed: killed by signal 9 (out of memory?)"


def test_workers_that_share_no_locks_wait_for_each_other(tmp_path: Path) -> None:
    sweep, storage = sweep_of(CONTENT, "x"), f"sqlite:///{tmp_path / 'study.db'}"
    here, there = (Trials(sweep, storage, tmp_path / name, []) for name in ("a", "b"))
    claims = [here.claim(), *(there.claim() for _ in range(5))]
    assert all(claims)
    assert there.claim() is None  # the first one may be alive
    taken = [claim.number for claim in claims if claim]
    assert sorted(taken) == list(range(6))


def test_a_worker_that_was_given_up_says_so(tmp_path: Path) -> None:
    trials = open_trials(tmp_path, sweep_of(CONTENT, "x"))
    claim = trials.claim()
    assert claim is not None
    trials.study.tell(claim.number, state=TrialState.FAIL)
    with pytest.raises(
        RunError, match="trial 0 was given to another worker, since this one gave no sign of life for 15"
    ):
        trials.succeed(claim, 1.0, {"minutes": 1.0})


@pytest.mark.slow
def test_a_sweep_of_which_nothing_works_stops(stub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_sweep(
        stub, parameters={"model.objective.tau": {"values": [1, 2, 3, 4]}, "seed_everything": {"value": 2}}
    )
    assert main(["sweep", str(path)]) == 1
    captured = capsys.readouterr()
    assert "error: the first 3 trials failed, the last one: no such seed; fix this, then" in captured.err
    assert "trial 3 of" not in captured.out


@pytest.mark.slow
def test_hopeless_trials_are_ended(stub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.sweeps.run_trial.LOOK_SECONDS", 0.05)
    monkeypatch.setenv("SLEEP", "0.5")
    content = {"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2}}
    path = write_sweep(stub, **content, parameters={"model.objective.tau": {"values": [0.1, 0.2]}})
    sweep = read_sweep(path)
    trials = open_trials(stub, sweep)
    endings = []
    while (claim := trials.claim()) is not None:
        settings = {**claim.settings, "seed_everything": 0}
        run = RunFolder(stub / "runs" / f"tau={claim.settings['model.objective.tau']}" / "0")
        endings.append(run_trial(sweep, trials, claim, sweep.arguments(settings), run, stub / "log"))
    assert endings == ["val/loss 0.1000", "ended early"]
    assert [trial.state for trial in trials.all()] == [TrialState.COMPLETE, TrialState.PRUNED]


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_killed_sweep_takes_its_run_along_and_goes_on_with_it(stub: Path) -> None:
    path = write_sweep(
        stub, parameters={"model.objective.tau": {"values": [0.1]}, "seed_everything": {"values": [0, 1]}}
    )
    begin = textwrap.dedent(
        """
        import sys
        from cli import sweep_checks
        from cli.__main__ import main
        sweep_checks.check_trials = lambda *_: None
        sys.exit(main(["sweep", *sys.argv[1:]]))
        """
    )
    environment = {**os.environ, "SLEEP": "100", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", begin, str(path)]
    worker = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    logged = stub / "runs" / "tau=0.1" / "0" / "metrics.csv"
    until(logged.exists, worker)
    worker.kill()
    worker.wait()
    study = optuna.load_study(study_name="tiny", storage="sqlite:///runs/sweeps/tiny/study.db")
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING, TrialState.WAITING]
    trials = Trials(read_sweep(path), "sqlite:///runs/sweeps/tiny/study.db", stub / "runs/sweeps/tiny", [])
    claims = [trials.claim(), trials.claim()]
    assert [(claim.settings["seed_everything"], claim.again) for claim in claims if claim] == [(1, False), (0, True)]
    trial = int((logged.parent / "pid").read_text())
    until(lambda: not is_alive(trial))
