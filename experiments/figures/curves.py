"""Curves of experiments, each run's thin and their mean thick: how they learned, and how far down hits lie."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from common.directions import DIRECTIONS
from experiments.figures.style import GREY, new_figure, without_frame
from experiments.loggers.csv_logger import read_rows
from experiments.results.experiment import Experiment, QueryScores
from experiments.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEARNING = {
    "train/loss": ("training loss (nats)", 1),
    "val/loss": ("validation loss (nats)", 1),
    "val/text_to_audio/mAP@10": ("validation mAP@10, text to audio (%)", 100),
}  # what is drawn, with its label and scale
FLOOR = "train/target_entropy"


def learning_curve(run: Path, name: str) -> dict[int, float]:
    """What a run logged under a name, such as "train/loss", by training step; empty where it logged nothing.

    Raises:
        RunError: its metrics.csv holds something else than numbers.
    """
    path = RunFolder(run).metrics
    rows = read_rows(path) if path.exists() else []
    return {row["step"]: row[name] for row in rows if name in row}


def mean_curve(curves: Sequence[dict[int, float]]) -> dict[int, float]:
    """The mean of curves at the steps that all of them have, in order.

    >>> mean_curve([{20: 0.5, 10: 1.0, 30: 0.5}, {10: 0.0, 20: 0.5}])
    {10: 0.5, 20: 0.5}
    """
    shared = sorted(set.intersection(*map(set, curves)))
    return {step: float(np.mean([curve[step] for curve in curves])) for step in shared}


def found_within(first_rank: Floats, depths: Ints) -> Floats:
    """Share (K,) of queries whose first relevant item is among the first k, for ranks (Q,) and depths (K,).

    >>> found_within(np.array([1.0, 3.0, 3.0, 8.0]), np.array([1, 2, 3]))
    array([0.25, 0.25, 0.75])
    """
    return np.searchsorted(np.sort(first_rank), depths, side="right") / len(first_rank)


def found_by_chance(side: QueryScores, depths: Ints) -> Floats:
    """The expectation of `found_within` (K,) where the items stand in random order."""
    counts, queries = np.unique([len(items) for items in side.relevant], return_counts=True)
    none = hypergeom.pmf(0, side.pool_size, counts[:, None], depths)  # (M, K), of a query with each number of relevant
    return np.asarray(1 - queries @ none / queries.sum(), dtype=np.float64)


def draw_learning_curves(experiments: Sequence[Experiment]) -> "Figure":
    """Training loss, validation loss and validation mAP@10 of each experiment's runs, by training step.

    A dotted line is the entropy of the training targets (Xie et al. 2024, eq. 4): no model's loss can fall below it.
    """
    figure = new_figure(15, 4.5)
    panels = figure.subplots(1, len(LEARNING))
    for axes, (name, (label, scale)) in zip(panels, LEARNING.items(), strict=True):
        marker = None if name.startswith("train/") else "."  # a validation is a point of its own
        for i, experiment in enumerate(experiments):
            curves = [learning_curve(run, name) for run in experiment.runs]
            runs = [_points(curve, scale) for curve in curves]
            _draw(axes, runs, _points(mean_curve(curves), scale), f"C{i}", marker)
        axes.set(xlabel="training step", ylabel=label)
        without_frame(axes)
    for i, experiment in enumerate(experiments):
        floor = mean_curve([learning_curve(run, FLOOR) for run in experiment.runs])
        if any(floor.values()):
            panels[0].plot(*_points(floor, 1), color=f"C{i}", linestyle=":")
    _name_colours(figure, experiments)
    return figure


def draw_first_ranks(experiments: Sequence[Experiment]) -> "Figure":
    """The share of queries that have a relevant item among the first k, for each k and direction; chance in grey."""
    figure = new_figure(15, 4.5)
    for axes, direction in zip(figure.subplots(1, 2), DIRECTIONS, strict=True):
        side = experiments[0].directions[direction]
        depths = np.arange(1, side.pool_size + 1)
        ticks = [k for power in range(7) for k in (10**power, 2 * 10**power, 5 * 10**power) if k <= side.pool_size]
        for i, experiment in enumerate(experiments):
            ranks = experiment.directions[direction].first_rank  # (S, Q)
            shares = [100 * found_within(run, depths) for run in ranks]
            _draw(axes, [(depths, share) for share in shares], (depths, np.mean(shares, axis=0)), f"C{i}")
        axes.plot(depths, 100 * found_by_chance(side, depths), color=GREY, linestyle="--", linewidth=1)
        axes.set(
            title=f"{direction.replace('_', ' ')}, {len(side.queries):,} queries",
            xlabel=f"k of {side.pool_size:,} items, logarithmic",
            xscale="log",
            xlim=(1, max(2, side.pool_size)),
            ylabel="a relevant item among the first k (%)",
            ylim=(0, 100),
        )
        axes.set_xticks(ticks, [f"{k:,}" for k in ticks])
        axes.minorticks_off()
        without_frame(axes)
    _name_colours(figure, experiments, chance=True)
    return figure


def _draw(
    axes: Any, runs: Iterable[tuple[Any, Any]], mean: tuple[Any, Any], color: str, marker: str | None = None
) -> None:
    for run in runs:
        axes.plot(*run, color=color, alpha=0.4, linewidth=0.8, marker=marker, markersize=4)
    axes.plot(*mean, color=color, linewidth=2, marker=marker, markersize=10)


def _points(curve: dict[int, float], scale: int) -> tuple[list[int], list[float]]:
    return list(curve), [scale * value for value in curve.values()]


def _name_colours(figure: "Figure", experiments: Sequence[Experiment], *, chance: bool = False) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=f"C{i}", linewidth=2) for i in range(len(experiments))]
    names = [
        f"{experiment.name} ({len(experiment.runs)} run{'s' if len(experiment.runs) > 1 else ''})"
        for experiment in experiments
    ]
    if chance:
        lines.append(Line2D([], [], color=GREY, linestyle="--", linewidth=1))
        names.append("chance")
    legend = figure.legend(lines, names, loc="outside lower center", ncols=4, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name may hold dollar signs
