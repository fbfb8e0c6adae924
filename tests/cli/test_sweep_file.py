"""The file of a sweep: what it may say, and the command line of each trial."""

import datetime
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from cli.__main__ import main
from cli.sweep_checks import check_trials
from common.errors import RunError
from experiments.sweeps.results import over_seeds, rows_of_trials
from experiments.sweeps.sweep_file import read_sweep, sweep_of
from tests.support.sweeps import COMMAND, CONTENT, FILES, NAMED, open_trials, with_, write_sweep


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


def test_the_options_of_a_table_change_together(tmp_path: Path) -> None:
    tables = [{"data.batch_size": 32, "lr": 0.1}, {"data.batch_size": 64, "lr": 0.2}]
    sweep = sweep_of(with_({"parameters": {"size": {"values": tables}, "seed_everything": {"values": [0, 1]}}}), "x")
    planned = sweep.planned()
    assert planned == [{"size": table, "seed_everything": seed} for table in tables for seed in (0, 1)]
    options = ["--data.batch_size=32", "--lr=0.1", "--seed_everything=1"]
    assert [text for text in sweep.arguments(planned[1]) if text in options] == options
    trials = open_trials(tmp_path, sweep)
    while (claim := trials.claim()) is not None:
        trials.succeed(claim, claim.settings["size"]["lr"], {})
    rows = rows_of_trials(sweep, trials.all())
    assert sorted(over_seeds(sweep, rows).values()) == [[0.1, 0.1], [0.2, 0.2]]


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
        (
            {"parameters": {"a": {"values": [{1: 2}]}}},
            "{1: 2} cannot be a value; the keys of a table are options of train.py",
        ),
        (
            {"method": "bayes", "run_cap": 3, "parameters": {"a": {"values": [{"b": 1}, {"b": 2}]}}},
            "parameters.a has tables as values, give method grid or random",
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
        ({"parameters": {"a": {"values": ["5e-4", 0.0005]}}}, "parameters.a: '5e-4' comes twice"),
        ({"parameters": {key: {"values": [*range(1000)]} for key in "ab"}}, "the grid has 1,000,000 trials: give"),
        ({"method": "random", "run_cap": 10_001}, "run_cap is 10,001: give at most 10,000"),
        ({"parameters": {"a": {"min": 0, "max": 10_001}}}, "parameters.a: more than 10,000 values in the range"),
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
        (
            {"parameters": {"model.objective.tua": {"values": [0.1]}}},
            r"there is no option --model.objective.tua; did you mean --model.objective.tau\?",
        ),
        (
            {"parameters": {"model.objective.tau": {"values": [0.1, "warm"]}}},
            "a trial with model.objective.tau=warm cannot be run: .*expected a number, got warm",
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
    ("text", "message"),
    [
        (None, "no such sweep file"),
        ("a: [", "not YAML"),
        ("- 1", "the file is .*: give a table"),
        ("parameters: {a: {value: 1}, a: {value: 2}}", "gives the key a twice .*; leave one of them out"),
    ],
)
def test_a_file_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, message: str
) -> None:
    path = tmp_path / "sweep.yaml"
    if text is not None:
        path.write_text(text)
    assert main(["sweep", str(path)]) == 1
    assert re.search(f"^error: .*{message}", capsys.readouterr().err)
