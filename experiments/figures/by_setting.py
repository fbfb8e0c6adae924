"""Metrics of experiments against the number in which they differ, with the spread over seeds."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from common.directions import DIRECTIONS
from experiments.comparison.summaries import Metric, summarise
from experiments.figures.style import new_figure, without_frame
from experiments.results.experiment import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE = 20
"""From the lowest number to the highest at least this factor: a logarithmic axis."""


def draw_by_setting(experiments: Mapping[float, Experiment], metrics: Sequence[Metric], key: str) -> "Figure":
    """A panel for each direction; each metric's mean over runs in %, and bars of one standard deviation (n - 1).

    Args:
        experiments: by the number, in order.
        metrics: lines.
        key: of the setting that the number is.
    """
    sides = {
        side: shown for side in DIRECTIONS if (shown := [metric for metric in metrics if metric.direction == side])
    }
    figure = new_figure(6.5 * len(sides), 4.5)
    numbers = list(experiments)
    wide = 0 < WIDE * numbers[0] <= numbers[-1]
    for axes, (direction, shown) in zip(figure.subplots(1, len(sides), squeeze=False)[0], sides.items(), strict=True):
        for metric in shown:
            found = [summarise(experiment, metric) for experiment in experiments.values()]
            cells = np.array([(np.nan, np.nan) if one is None else (100 * one.mean, 100 * one.sd) for one in found])
            spread = np.nan_to_num(cells[:, 1])  # of a single run there is none
            axes.errorbar(numbers, cells[:, 0], spread, label=metric.name, marker="o", capsize=3)
        axes.set(title=direction.replace("_", " "), xlabel=key, ylabel="mean over runs ± sd (%)")
        axes.set_ylim(bottom=0)
        if wide:
            axes.set_xscale("log")
        axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
        axes.minorticks_off()
        axes.legend(frameon=False)
        without_frame(axes)
    return figure
