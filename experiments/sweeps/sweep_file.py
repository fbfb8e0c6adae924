"""The sweep file: Weights & Biases' form, so that `wandb sweep` and `audio-relevance sweep` read the same one.

https://docs.wandb.ai/models/sweeps/sweep-config-keys describes the form. What W&B supports beyond what is here (other
distributions, nested parameters) is refused by name, not ignored. One thing is ours alone: a value may be a table of
options that change together, of which W&B's agent makes a single argument.
"""

import itertools
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import RunError
from common.text import cause_of
from common.unique_keys import KeyGivenTwiceError, parse_yaml
from experiments.sweeps.parameters import (
    MOST,
    Parameter,
    check_number,
    check_table,
    options_of,
    parameter_of,
    table_of,
    text_of,
)

Settings = dict[str, Any]

KEYS = {
    "program", "method", "metric", "parameters", "command", "early_terminate", "run_cap",
    "name", "description", "project", "entity",
}  # fmt: skip
METHODS = ("grid", "random", "bayes")
MACROS = ("${env}", "${interpreter}", "${program}", "${args}")


@dataclass(frozen=True)
class EarlyTermination:
    """Hyperband in W&B's form: a trial is looked at after min_iter, min_iter * eta, ... validations."""

    min_iter: int
    eta: int


@dataclass(frozen=True)
class SweepFile:
    """A sweep: how trials are chosen, what decides, and the command line of each.

    Attributes:
        name: of the sweep; the file's own name where it gives none.
        method: "grid" (every combination), "random", or "bayes" (Optuna's TPE here).
        metric: name of what decides, as it is logged; maximise: whether higher is better.
        parameters: settings that vary, by their key on the command line of train.py.
        command: of a trial, with W&B's macros.
        early_terminate: when hopeless trials end, None: never.
        run_cap: trials in all, None where the grid says it.
        content: the file's, to notice a change.
    """

    name: str
    method: str
    metric: str
    maximise: bool
    parameters: dict[str, Parameter]
    program: str
    command: tuple[str, ...]
    early_terminate: EarlyTermination | None
    run_cap: int | None
    content: dict[str, Any]

    def planned(self) -> list[Settings] | None:
        """The settings of all trials, in order; None for bayes, which chooses each by what came before.

        Random ones are drawn from the sweep's name, so that every start of the sweep plans the same; none comes twice,
        so there may be fewer than run_cap.
        """
        if self.method == "grid":
            combinations = itertools.product(*(parameter.values for parameter in self.parameters.values()))
            planned = itertools.islice(combinations, self.run_cap)
            return [dict(zip(self.parameters, values, strict=True)) for values in planned]
        if self.method == "random":
            rng = np.random.default_rng(list(self.name.encode()))
            counts = [len(parameter.steps) for parameter in self.parameters.values()]
            wanted = min(self.run_cap or 0, math.prod(counts) or math.inf)
            drawn: dict[str, Settings] = {}
            while len(drawn) < wanted:
                settings = {key: parameter.draw(rng) for key, parameter in self.parameters.items()}
                drawn.setdefault(json.dumps(settings), settings)
            return list(drawn.values())
        return None

    def arguments(self, settings: Settings) -> list[str]:
        """What follows the program in the command line of a trial.

        Values are written as W&B's agent does: `--key=value`. A value that is a table stands for the options in it.
        """
        options = [option for key, value in settings.items() for option in options_of(key, value)]
        flags = [f"--{key}={value}" for key, value in options]
        after = self.command[self.command.index("${program}") + 1 :]
        return [text for part in after for text in (flags if part == "${args}" else [part])]


def read_sweep(path: Path, name: str | None = None) -> SweepFile:
    """Read and check a sweep file; with `name` the sweep is called so, whatever the file says.

    Raises:
        RunError: it is not there, no YAML, or a key or value of it is not supported.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such sweep file; those of this project lie in configs/sweeps/")
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except KeyGivenTwiceError as error:
        raise RunError(f"{path}: gives {error}; leave one of them out") from error
    except ValueError as error:
        raise RunError(f"{path}: not YAML ({cause_of(error)}); fix it") from error
    try:
        return sweep_of({**content, "name": name} if name and isinstance(content, dict) else content, path.stem)
    except ValueError as error:
        raise RunError(f"{path}: {error}") from error


def sweep_of(content: Any, name: str) -> SweepFile:
    """The sweep that a file's content describes.

    Raises:
        ValueError: a key or value that is not supported.
    """
    check_table(content, "the file", KEYS)
    method = content.get("method")
    if method not in METHODS:
        raise ValueError(f"method is {method!r}: give one of {', '.join(METHODS)}")
    metric, maximise = _metric(content.get("metric"))
    parameters = {str(key): parameter_of(key, value) for key, value in table_of(content, "parameters").items()}
    if not parameters:
        raise ValueError("parameters is empty: name at least one setting that varies")
    run_cap = content.get("run_cap")
    if run_cap is not None:
        check_number(run_cap, "run_cap", int, 1)
        if run_cap > MOST:
            raise ValueError(f"run_cap is {run_cap:,}: give at most {MOST:,}")
    if method == "grid":
        for key, parameter in parameters.items():
            if not parameter.values:
                raise ValueError(f"parameters.{key} is a range, of which no grid can be made: give values")
        trials = math.prod(len(parameter.values) for parameter in parameters.values())
        if min(trials, run_cap or trials) > MOST:
            raise ValueError(
                f"the grid has {trials:,} trials: give fewer values, or method random and a run_cap up to {MOST:,}"
            )
    elif method == "bayes" and (tables := [key for key, one in parameters.items() if dict in map(type, one.values)]):
        raise ValueError(f"parameters.{tables[0]} has tables as values, give method grid or random")
    elif run_cap is None:
        raise ValueError(f"method {method} has no end of its own: give run_cap, the number of trials")
    called = text_of(content.get("name", name), "name")
    if not re.fullmatch(r"[\w.+-][\w .+-]*", called):
        raise ValueError(f"name is {called!r}: it names a folder; give letters, digits, spaces, . + - and _")
    return SweepFile(
        name=called,
        method=method,
        metric=metric,
        maximise=maximise,
        parameters=parameters,
        program=text_of(content.get("program", "train.py"), "program"),
        command=_command(content.get("command")),
        early_terminate=_early_termination(content.get("early_terminate")),
        run_cap=run_cap,
        content=content,
    )


def _metric(metric: Any) -> tuple[str, bool]:
    check_table(metric, "metric", {"name", "goal", "target"})
    if "target" in metric:
        raise ValueError("metric.target is not supported: give run_cap")
    goal = metric.get("goal", "minimize")
    if goal not in ("minimize", "maximize"):
        raise ValueError(f"metric.goal is {goal!r}: give minimize or maximize")
    return text_of(metric.get("name"), "metric.name"), goal == "maximize"


def _command(command: Any) -> tuple[str, ...]:
    advice = "[${env}, ${interpreter}, ${program}, fit, --config, clotho_listnet.yaml, ${args}]"
    if command is None:
        raise ValueError(f"command is missing, and W&B's default has no `fit`: give {advice}")
    if not isinstance(command, list) or not all(isinstance(part, str) for part in command):
        raise ValueError(f"command must be a list of texts (numbers and true in quotes), such as {advice}")
    for part in command:
        if "${" in part and part not in MACROS:
            raise ValueError(f"command: {part} is not supported; there are, alone in a text: {', '.join(MACROS)}")
    if command.count("${program}") != 1 or command.count("${args}") != 1 or "fit" not in command:
        raise ValueError(f"command must hold ${{program}}, fit and ${{args}} once each: {advice}")
    if before := [part for part in command[: command.index("${program}")] if part not in MACROS]:
        raise ValueError(
            f"command: '{before[0]}' before ${{program}} is not supported; start `audio-relevance sweep` under it"
        )
    return tuple(command)


def _early_termination(given: Any) -> EarlyTermination | None:
    if given is None:
        return None
    check_table(given, "early_terminate", {"type", "min_iter", "max_iter", "s", "eta", "strict"})
    if given.get("type") != "hyperband":
        raise ValueError(f"early_terminate.type is {given.get('type')!r}: give hyperband")
    for key in ("min_iter", "max_iter", "s", "eta"):
        if key in given:
            check_number(given[key], f"early_terminate.{key}", int, 2 if key == "eta" else 1)
    eta = given.get("eta", 3)
    if ("min_iter" in given) == ("max_iter" in given):
        raise ValueError("early_terminate: give min_iter, or max_iter and s")
    if "min_iter" in given:
        return EarlyTermination(given["min_iter"], eta)
    return EarlyTermination(max(1, given["max_iter"] // eta ** given.get("s", 2)), eta)
