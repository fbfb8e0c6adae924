"""Sweeps: the file, who runs which trial, what becomes of a trial, what is shown at the end."""

import csv
import datetime
import itertools
import multiprocessing as mp
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from cli.__main__ import main
from cli.config_files import CONFIGS, ROOT
from cli.sweep_checks import check_trials
from common.errors import RunError
from experiments.run_folder import RunFolder
from experiments.sweeps.results import over_seeds, rows_of_trials
from experiments.sweeps.run_trial import run_trial
from experiments.sweeps.sweep_file import SweepFile, read_sweep, sweep_of
from experiments.sweeps.trials import Trials
from tests.support.waiting import until

COMMAND = ["${env}", "${interpreter}", "${program}", "fit", "--config", "demo_listnet.yaml", "${args}"]
NAMED = [*COMMAND, "--run.experiment", "tau={model.objective.tau}"]
CONTENT: dict[str, Any] = {
    "program": "train.py",
    "method": "grid",
    "metric": {"name": "val/loss", "goal": "minimize"},
    "command": NAMED,
    "parameters": {"model.objective.tau": {"values": [0.1, 0.2]}, "seed_everything": {"values": [0, 1, 2]}},
}
FILES = sorted((CONFIGS / "sweeps").glob("*.yaml"))

# Stands for train.py: logs the value that it is given, an epoch at a time, into the run's folder.
STUB = """
import os, pathlib, sys, time
options = dict(argument[2:].split("=") for argument in sys.argv[1:] if "=" in argument)
if options["seed_everything"] == "2":
    sys.exit("error: no such seed")
folder = pathlib.Path("runs") / ("tau=" + options["model.objective.tau"]) / options["seed_everything"]
folder.mkdir(parents=True, exist_ok=True)
(folder / "again").write_text(str("--run.resume" in sys.argv))
rows = ["epoch,val/loss,test/text_to_audio/mAP@10"]
for epoch in range(3):
    rows.append(f"{epoch},{options['model.objective.tau']},")
    (folder / "metrics.csv").write_text("\\n".join(rows))
    time.sleep(float(os.environ.get("SLEEP", 0)))
(folder / "metrics.csv").write_text("\\n".join([*rows, ",,0.25"]))
"""


def with_(changes: dict[str, Any]) -> dict[str, Any]:
    content = {**CONTENT, **changes}
    return {key: value for key, value in content.items() if value is not None}


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a program that stands for train.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stub.py").write_text(STUB)
    return tmp_path


def write_sweep(folder: Path, **changes: Any) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(with_({"program": "stub.py", **changes})))
    return path


def open_trials(folder: Path, sweep: SweepFile, extra: list[str] | None = None) -> Trials:
    return Trials(sweep, f"sqlite:///{folder / 'study.db'}", folder, extra or [])


# ---------------------------------------------------------------------------------------------------- the file


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_sweep_of_the_project_can_be_carried_out(path: Path) -> None:
    sweep = read_sweep(path)
    check_trials(sweep, [])
    assert sweep.method == "bayes" or sweep.planned()


def test_a_grid_holds_every_combination_once() -> None:
    planned = sweep_of(CONTENT, "x").planned()
    assert planned == [
        {"model.objective.tau": tau, "seed_everything": seed} for tau, seed in itertools.product([0.1, 0.2], [0, 1, 2])
    ]


@pytest.mark.parametrize("settings", [{"a": 1, "b.c": "x y"}, {"on": True, "lr": 1e-05, "many": [1, "two"]}])
def test_a_trial_has_the_command_line_that_the_agent_of_wandb_would_give_it(settings: dict[str, Any]) -> None:
    sweep = sweep_of(CONTENT, "x")
    macros = create_sweep_command_args({"args": {key: {"value": value} for key, value in settings.items()}})
    macros |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": ["train.py"]}
    command = [
        text
        for part in create_sweep_command(NAMED)
        for text in (macros[part[2:-1]] if part.startswith("${") else [part])
    ]
    assert ["/usr/bin/env", "python", "train.py", *sweep.arguments(settings)] == command


RANGES = st.one_of(
    st.fixed_dictionaries({"distribution": st.just("uniform"), "min": st.integers(-9, 0), "max": st.integers(1, 9)}),
    st.fixed_dictionaries({"min": st.integers(-9, 0), "max": st.integers(1, 9)}),
    st.fixed_dictionaries(
        {"distribution": st.just("log_uniform_values"), "min": st.floats(1e-6, 1e-3), "max": st.floats(1e-2, 1)}
    ),
)


@given(RANGES, st.from_regex(r"[a-z][\w .+-]*", fullmatch=True))
def test_random_values_lie_in_their_range_and_are_the_same_at_every_start(given: dict[str, Any], name: str) -> None:
    content = with_({"method": "random", "run_cap": 20, "parameters": {"x": given}})
    planned = sweep_of(content, name).planned()
    assert planned == sweep_of(content, name).planned()
    assert planned is not None
    whole = "distribution" not in given
    assert len(planned) == (min(20, given["max"] - given["min"] + 1) if whole else 20)
    assert all(given["min"] <= settings["x"] <= given["max"] for settings in planned)
    assert not whole or all(isinstance(settings["x"], int) for settings in planned)


def test_a_quantised_range_gives_multiples_and_none_twice() -> None:
    parameter = {"distribution": "q_uniform", "min": 0.2, "max": 2, "q": 0.5}
    planned = sweep_of(with_({"method": "random", "run_cap": 50, "parameters": {"x": parameter}}), "x").planned()
    assert sorted(settings["x"] for settings in planned or []) == [0.5, 1, 1.5, 2]
    whole = {"distribution": "q_uniform", "min": 8, "max": 60, "q": 8}
    planned = sweep_of(with_({"method": "random", "run_cap": 5, "parameters": {"x": whole}}), "x").planned()
    assert len({settings["x"] for settings in planned or []}) == 5
    assert all(isinstance(settings["x"], int) for settings in planned or [])


def test_a_bayesian_search_runs_no_settings_twice(tmp_path: Path) -> None:
    parameters = {"x": {"distribution": "q_uniform", "min": 8, "max": 24, "q": 8}, "kind": {"values": ["a", "b"]}}
    sweep = sweep_of(with_({"method": "bayes", "run_cap": 20, "parameters": parameters}), "x")
    trials = open_trials(tmp_path, sweep)
    run = []
    while (claim := trials.claim()) is not None:
        run.append(tuple(claim.settings.values()))
        trials.succeed(claim, float(claim.settings["x"]), {})
    assert len(set(run)) == len(run) <= 6
    assert all(x in (8, 16, 24) and isinstance(x, int) for x, _ in run)
    rows = rows_of_trials(sweep, trials.all())
    assert len(rows) == 20
    assert [row["state"] for row in rows].count("done") == len(run)
    assert sum(map(len, over_seeds(sweep, rows).values())) == len(run)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": "grid"}, r"the file has the unknown key 'methods'; did you mean 'method'\?"),
        ({"method": "gird"}, "method is 'gird': give one of grid, random, bayes"),
        ({"metric": None}, "metric is None: give a table"),
        ({"metric": {"name": "val/loss", "gaol": "x"}}, r"metric has the unknown key 'gaol'; did you mean 'goal'\?"),
        ({"metric": {"name": "val/loss", "goal": "max"}}, "metric.goal is 'max': give minimize or maximize"),
        ({"metric": {"goal": "maximize"}}, "metric.name is None: give a text"),
        ({"metric": {"name": "x", "target": 1}}, "metric.target is not supported"),
        ({"parameters": {}}, "parameters is empty"),
        ({"parameters": [1]}, r"parameters is \[1\]: give a table"),
        ({"parameters": {"a": 3}}, "parameters.a is 3: give a table with keys such as"),
        ({"parameters": {"a": {"values": 3}}}, "parameters.a.values is 3: give a list"),
        ({"parameters": {"a": {"values": []}}}, r"parameters.a.values is \[\]: give a list with at least one"),
        ({"parameters": {"a": {"values": [None]}}}, "null would reach the command line as the text None"),
        (
            {"parameters": {"a": {"values": [{"b": 1}]}}},
            "'b': 1} cannot be a value; give texts, numbers, true, false or lists",
        ),
        ({"parameters": {"a": {"value": 1, "min": 0}}}, "give one of value, values, or min and max"),
        ({"parameters": {"a": {"valeus": [1]}}}, r"parameters.a has the unknown key 'valeus'; did you mean"),
        ({"parameters": {"a": {"parameters": {"b": {"value": 1}}}}}, "is nested: write one key with dots"),
        ({"parameters": {"a": {"min": 0, "max": 1}}}, "parameters.a is a range, of which no grid can be made"),
        ({"method": "random"}, "method random has no end of its own: give run_cap"),
        ({"method": "bayes", "run_cap": "many"}, "run_cap is 'many': give a whole number"),
        ({"method": "bayes", "run_cap": 0}, "run_cap is 0: give at least 1"),
        ({"command": None}, "command is missing, and W&B's default has no `fit`"),
        ({"command": ["${program}", "${args}"]}, "command must hold .* once each"),
        ({"command": [*COMMAND, "${args_json}"]}, r"\$\{args_json\} is not supported"),
        ({"command": [*COMMAND, "--x=${args}"]}, r"--x=\$\{args\} is not supported; there are, alone in a text"),
        ({"command": ["nice", *COMMAND]}, r"'nice' before \$\{program\} is not supported"),
        ({"parameters": {"a": {"values": [1, 1.0]}}}, "parameters.a: 1 comes twice"),
        ({"parameters": {"a": {"values": [datetime.date(2024, 5, 1)]}}}, "cannot be a value; give texts, numbers"),
        ({"name": "is it?/good"}, "name is 'is it\\?/good': it names a folder"),
        ({"command": [*COMMAND, "--run.wandb", True]}, "command must be a list of texts"),
        ({"early_terminate": {"type": "median"}}, "early_terminate.type is 'median': give hyperband"),
        ({"early_terminate": {"type": "hyperband"}}, "give min_iter, or max_iter and s"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1.5}}, "min_iter is 1.5: give a whole number"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1}}, "eta is 1: give at least 2"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_sweep(tmp_path, **changes)
    with pytest.raises(RunError, match=message) as caught:
        read_sweep(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({"min": "1e-5", "max": 1}, r"parameters.a.min is '1e-5': give a number \(YAML reads 1e-5 as text"),
        ({"min": 2, "max": 1}, "min is 2 and max 1; give min < max"),
        ({"min": 0, "max": 1, "distribution": "unifrom"}, r"is 'unifrom'; did you mean 'uniform'\?"),
        ({"min": 0, "max": 1, "distribution": "log_uniform_values"}, "a logarithm wants more than 0"),
        ({"min": 0.5, "max": 1, "distribution": "int_uniform"}, "int_uniform wants whole numbers"),
        ({"min": 0, "max": 1, "q": 0.1}, "with the distribution q_uniform"),
        ({"min": 9, "max": 15, "q": 16, "distribution": "q_uniform"}, "no multiple of 16 lies between 9 and 15"),
        ({"values": [1], "distribution": "uniform"}, "wants min and max, not values"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(parameter: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sweep_of(with_({"method": "random", "run_cap": 2, "parameters": {"a": parameter}}), "x")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": {"model.objective.tua": {"values": [0.1]}}}, r"tua.*did you mean 'tau'\?"),
        (
            {"parameters": {"model.objective.tau": {"values": [0.1, "warm"]}}},
            "a trial with model.objective.tau=warm cannot be run: .*float.*warm",
        ),
        ({"parameters": {"config": {"values": ["clotho_lisnet.yaml"]}}}, "did you mean clotho_listnet.yaml"),
        (
            {"command": COMMAND},
            r"differ in model.objective.tau would share the run folder runs/demo_listnet/0; add to the command: "
            r"--run.experiment tiny_\{model.objective.tau\}",
        ),
        ({"command": [*COMMAND, "--run.experiment", "x={model.tua}"]}, "there is no setting 'model.tua'"),
    ],
)
def test_settings_that_training_would_refuse_end_the_sweep_before_it_begins(
    stub: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], message: str
) -> None:
    assert main(["sweep", str(write_sweep(stub, **changes))]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert re.search(message, line)
    assert not (stub / "runs").exists()


@pytest.mark.parametrize(
    ("text", "message"), [(None, "no such sweep file"), ("a: [", "not YAML"), ("- 1", "the file is .*: give a table")]
)
def test_a_file_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, message: str
) -> None:
    path = tmp_path / "sweep.yaml"
    if text is not None:
        path.write_text(text)
    assert main(["sweep", str(path)]) == 1
    assert re.search(f"^error: .*{message}", capsys.readouterr().err)


# ---------------------------------------------------------------------------------------------------- who runs what


def _claim_all(folder: Path, start: Any, taken: Any) -> None:
    trials = open_trials(folder, sweep_of(CONTENT_OF_30, "many"))
    start.wait()
    while (claim := trials.claim()) is not None:
        taken.put((os.getpid(), claim.settings["seed_everything"]))
        trials.succeed(claim, 1.0, {})


CONTENT_OF_30 = with_({"parameters": {"seed_everything": {"values": list(range(30))}}})


@pytest.mark.slow
def test_two_workers_never_run_the_same_trial(tmp_path: Path) -> None:
    context = mp.get_context("spawn")
    start, taken = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_claim_all, args=(tmp_path, start, taken)) for _ in range(2)]
    for worker in workers:
        worker.start()
    claims = []
    for _ in range(30):
        until(lambda: not taken.empty(), *workers)
        claims.append(taken.get())
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(seed for _, seed in claims) == list(range(30))
    assert taken.empty()


def _claim_and_wait(folder: Path, claimed: Any) -> None:
    claim = open_trials(folder, sweep_of(CONTENT, "x")).claim()
    assert claim is not None
    claimed.put(claim.settings)
    time.sleep(600)


@pytest.mark.slow
def test_a_trial_whose_worker_was_killed_is_run_again_and_no_other(tmp_path: Path) -> None:
    context = mp.get_context("spawn")
    claimed = context.Queue()
    worker = context.Process(target=_claim_and_wait, args=(tmp_path, claimed))
    worker.start()
    until(lambda: not claimed.empty(), worker)
    lost = claimed.get()
    trials = open_trials(tmp_path, sweep_of(CONTENT, "x"))
    others = [trials.claim() for _ in range(5)]
    assert trials.claim() is None  # the first one is still being run
    os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join()
    again = trials.claim()
    assert again is not None
    assert (again.settings, again.again) == (lost, True)
    assert not any(claim is None or claim.again or claim.settings == lost for claim in others)
    assert len(trials.all()) == 6


def test_what_is_done_stays_done_and_failures_can_be_tried_again(tmp_path: Path) -> None:
    sweep = sweep_of(CONTENT, "x")
    trials = open_trials(tmp_path, sweep)
    first, second, third = (trials.claim() for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    trials.succeed(first, 0.5, {"minutes": 1.0})
    trials.fail(second, "no memory", {})
    trials.prune(third, {})
    once_more = open_trials(tmp_path, sweep)  # started again
    rows = {row["trial"]: row for row in rows_of_trials(sweep, once_more.all())}
    states = [rows[number]["state"] for number in sorted(rows)]
    assert states == ["done", "failed", "ended early", "waiting", "waiting", "waiting"]
    assert (rows[0]["val/loss"], rows[1]["reason"]) == (0.5, "no memory")
    assert len(list(iter(once_more.claim, None))) == 3
    assert once_more.retry_failed() == 1
    retried = once_more.claim()
    assert retried is not None
    assert (retried.settings, retried.again) == (second.settings, True)


def test_a_sweep_does_not_go_on_with_another_file(tmp_path: Path) -> None:
    open_trials(tmp_path, sweep_of(CONTENT, "x"))
    changed = with_({"parameters": {"seed_everything": {"values": [7]}}})
    for content, extra in ((changed, []), (CONTENT, ["--trainer.max_epochs", "2"])):
        with pytest.raises(RunError, match="sweep 'x' began with another file or other arguments; put them back"):
            open_trials(tmp_path, sweep_of(content, "x"), extra)


def test_a_storage_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("no data base, but text " * 50)
    with pytest.raises(RunError, match=r"study.db: no storage that can be opened \(DatabaseError: .*not a database"):
        open_trials(tmp_path, sweep_of(CONTENT, "x"))


@pytest.mark.slow
def test_a_bayesian_search_ends_at_its_cap_and_learns(tmp_path: Path) -> None:
    parameters = {"x": {"min": 0.0, "max": 1.0}, "kind": {"values": ["a", "b"]}, "n": {"min": 1, "max": 3}}
    content = with_({"method": "bayes", "run_cap": 40, "parameters": parameters})
    trials = open_trials(tmp_path, sweep_of(content, "x"))
    values = []
    while (claim := trials.claim()) is not None:
        assert claim.settings["kind"] in ("a", "b")
        assert claim.settings["n"] in (1, 2, 3)
        values.append((claim.settings["x"] - 0.7) ** 2)
        trials.succeed(claim, values[-1], {})
    assert len(values) == 40
    assert sum(values[20:]) < sum(values[:20])


def test_hopeless_trials_are_noticed(tmp_path: Path) -> None:
    content = with_({"early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 3}})
    trials = open_trials(tmp_path, sweep_of(content, "x"))
    claims = [trials.claim() for _ in range(4)]
    hopeless = [
        claim is not None and trials.is_hopeless(claim, [2.0, value])
        for claim, value in zip(claims, [1, 2, 3, 0.5], strict=True)
    ]
    assert hopeless == [False, True, True, False]
    assert sweep_of(with_({"early_terminate": {"type": "hyperband", "max_iter": 27, "s": 2}}), "x").early_terminate == (
        sweep_of(with_({"early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 3}}), "x").early_terminate
    )


# ---------------------------------------------------------------------------------------------------- a whole sweep


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
    assert main(["sweep", str(write_sweep(stub))]) == 1
    assert (
        "runs/tau=0.2/1 holds an earlier run (1 of 6 trials would meet one); move them away" in capsys.readouterr().err
    )


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
        ("0,nan\n1,0.5\n2,inf", "val/loss 0.5000"),
        ("0,nan\n1,-inf", "failed: val/loss was not logged, or never finite; see"),
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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
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
    alive = subprocess.run(["pgrep", "-f", str(stub / "stub.py")], capture_output=True, text=True).stdout
    assert not alive
