"""A sequence of fits: the matrix of their scores on all data sets, from a csv file, and what it says of forgetting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from common.errors import RunError
from evaluation.analyses.forgetting import transfer
from experiments.comparison.report import say
from experiments.comparison.summaries import metrics_named, run_means
from experiments.results.experiment import read_experiment

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FitSequence:
    """Scores after each of T fits, in order.

    Attributes:
        fits: T names.
        data: T names; fit i was on data set i.
        scores: (T, T) on each data set after each fit.
        start: name of what was before the first fit, and its scores (T,); None: not known.
    """

    fits: Sequence[str]
    data: Sequence[str]
    scores: Floats
    start: tuple[str, Floats] | None = None


def fit_sequence(cells: Mapping[tuple[str, str], float], source: str) -> FitSequence:
    """The matrix of scores by (fit, data), in the order in which fits and data are named first.

    One fit more than data sets: the first is the model before any of them.

    Args:
        cells: scores.
        source: what they are from, for messages.

    Raises:
        RunError: a cell is missing, or the numbers of fits and data sets do not go together.
    """
    fits, data = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True)) if cells else ([], [])
    if absent := [(fit, name) for fit in fits for name in data if (fit, name) not in cells]:
        raise RunError(f"{source}: no score of fit '{absent[0][0]}' on data '{absent[0][1]}'; give one for each pair")
    if not data or len(fits) - len(data) not in (0, 1):
        raise RunError(
            f"{source}: {len(fits)} fits and {len(data)} data sets; give a fit for each data set, in their order, and "
            "the model before the first fit in front of them if you have it"
        )
    matrix = np.array([[cells[fit, name] for name in data] for fit in fits])
    begins = len(fits) - len(data)
    return FitSequence(fits[begins:], data, matrix[begins:], (fits[0], matrix[0]) if begins else None)


def score_of_run(folder: Path, metric: str, split: str) -> float:
    """A metric of a run, or its mean over the runs of an experiment.

    Raises:
        RunError: there are no results, no such metric, or one of both directions.
    """
    experiment = read_experiment(folder, split)
    found = metrics_named([experiment], [metric])
    if len(found) > 1:
        raise RunError(f"--metric {metric} is of both directions; name one of them, such as {found[0].key}")
    means = run_means(experiment, found[0])
    if means is None:
        raise RunError(f"{folder}: {metric} has no value in it; name another --metric")
    return float(means.mean())


def print_sequence(sequence: FitSequence) -> None:
    """Print the matrix in %, and average, backward and forward transfer and forgetting in points."""
    console = Console(highlight=False, width=200)
    table = Table(Column("after", no_wrap=True), box=SIMPLE_HEAD)
    for name in sequence.data:
        table.add_column(escape(name), justify="right")
    rows = [sequence.start] if sequence.start else []
    rows += list(zip(sequence.fits, sequence.scores, strict=True))
    for fit, scores in rows:
        table.add_row(escape(fit), *(f"{100 * score:.1f}" for score in scores))
    found = transfer(sequence.scores, None if sequence.start is None else sequence.start[1])
    table.add_section()
    table.add_row("forgotten", *(f"{100 * lost:+.1f}" for lost in found.forgotten), "")
    console.print(table)
    values = {
        "average after the last fit": f"{100 * found.average:.1f} %",
        "backward transfer": _points(found.backward),
        "forgetting": _points(found.forgetting),
        "forward transfer": _points(found.forward),
    }
    say(console, *(f"{name}: {value}" for name, value in values.items()))


def _points(value: float) -> str:
    return "not known" if np.isnan(value) else f"{100 * value:+.2f} points"
