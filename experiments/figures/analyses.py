"""The figures of an analysis: metrics by groups of queries, k-occurrences, and calibration of scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.analyses.hubness import random_hubness
from experiments.analyses.calibration import CalibrationRow
from experiments.analyses.hubs import NORMALISED, PLAIN, HubRow
from experiments.analyses.performance import GroupRow
from experiments.figures.style import BLUE, GREEN, GREY, ORANGE, new_figure, without_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (BLUE, ORANGE, GREEN, "#8e5ea2", "#b03a48", GREY)
LABELS = {
    "annotated": "share of annotated pairs",
    "known": "mean known relevance",
    "listed": "share of listed pairs",
    "rated": "mean rating",
}
FEWEST = 20
"""Pairs in a bin that is drawn."""


def draw_performance(rows: Sequence[GroupRow], metric: str) -> "Figure":
    """A panel for each property of queries: each method's mean in each group, with its 95 % interval, in %."""
    means = [row for row in rows if row.metric == metric and not row.minus]
    whole = {row.method: row.result for row in means if row.property == "all"}
    means = [row for row in means if row.property != "all"] or means
    panels: dict[str, list[GroupRow]] = {}
    for row in means:
        panels.setdefault(row.property, []).append(row)
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    figure = new_figure(3.3 * columns, 3.2 * lines + 0.5)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes, (name, of_panel) in zip(grid, panels.items(), strict=False):
        groups = list(dict.fromkeys(row.group for row in of_panel))
        for number, (method, total) in enumerate(whole.items()):
            own = {row.group: row.result for row in of_panel if row.method == method}
            y = np.arange(len(groups)) + 0.5 * (number - (len(whole) - 1) / 2) / max(len(whole), 2)
            found = [own[group] for group in groups]
            ends = np.nan_to_num([[100 * (each.mean - each.low), 100 * (each.high - each.mean)] for each in found])
            colour = COLOURS[number % len(COLOURS)]
            axes.errorbar(
                [100 * each.mean for each in found], y, xerr=ends.T, fmt="o", color=colour, label=method, markersize=4
            )
            axes.axvline(100 * total.mean, color=colour, linewidth=0.8, linestyle=":")
        counts = {row.group: row.result.queries for row in of_panel}
        axes.set_yticks(range(len(groups)), [f"{group}\n{counts[group]:,}" for group in groups], fontsize=8)
        axes.set_ylim(len(groups) - 0.4, -0.6)
        axes.set_title(name, fontsize=10)
        without_frame(axes)
    figure.supxlabel(
        f"text to audio {metric} (%) with 95 % intervals; dotted: all queries; numbers: queries", fontsize=9
    )
    _legend(figure, grid[0], len(whole))
    return figure


def draw_hubness(rows: Sequence[HubRow], queries: int) -> "Figure":
    """Left the k-occurrences of all recordings, the largest first; right their skewness and the share never found."""
    figure = new_figure(10, 4)
    curve, points = figure.subplots(1, 2, width_ratios=(3, 2))
    items = len(rows[0].occurrences)
    colours = {method: COLOURS[i % len(COLOURS)] for i, method in enumerate(dict.fromkeys(row.method for row in rows))}
    styles = {PLAIN: ("-", "o"), NORMALISED: ("--", "^")}
    seen = set()
    for row in rows:
        line, marker = styles[row.scores]
        label = row.method if row.scores == PLAIN else f"{row.method}, {row.scores}"
        shown = {} if label in seen else {"label": label}
        seen.add(label)
        ordered = np.sort(row.occurrences)[::-1]
        curve.plot(np.arange(1, items + 1), ordered, line, color=colours[row.method], linewidth=1, **shown)
        points.plot(100 * row.found.never, row.found.skewness, marker, color=colours[row.method], **shown)
    curve.axhline(queries * rows[0].k / items, color=GREY, linewidth=0.8, linestyle=":")
    curve.set(xlabel="recordings, the largest hub first", ylabel=f"queries that have it among their best {rows[0].k}")
    skewness, never = random_hubness(queries, items, rows[0].k)
    points.plot([100 * never], [skewness], "x", color=GREY, label="ranking at random")
    widest = max(100 * never, *(100 * row.found.never for row in rows))
    points.set_xlim(-0.5, max(5.0, 1.1 * widest))
    points.set(xlabel="recordings that are never among the best (%)", ylabel="skewness of the k-occurrences")
    points.legend(frameon=False, fontsize=8)
    for axes in (curve, points):
        without_frame(axes)
    return figure


def draw_calibration(rows: Sequence[CalibrationRow]) -> "Figure":
    """A panel for each source of relevance: its mean by the score, and below how the scores of all pairs are spread."""
    sources = list(dict.fromkeys(row.source for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    figure = new_figure(4.6 * len(sources), 4.6)
    grid = figure.subplots(2, len(sources), squeeze=False, sharex="col", height_ratios=(3, 1))
    for source, (axes, below) in zip(sources, grid.T, strict=True):
        for row in [each for each in rows if each.source == source]:
            colour = COLOURS[methods.index(row.method) % len(COLOURS)]
            drawn = row.bins.pairs >= FEWEST
            axes.plot(
                row.bins.mean_score[drawn],
                row.bins.mean_relevance[drawn],
                "o-",
                color=colour,
                markersize=3,
                label=row.method,
            )
            below.stairs(100 * row.bins.pairs / row.bins.pairs.sum(), row.bins.edges, color=colour)
        filled = np.any([row.bins.pairs >= FEWEST for row in rows if row.source == source], axis=0)
        edges = rows[0].bins.edges
        if filled.any():
            axes.set_xlim(edges[:-1][filled].min() - 0.05, edges[1:][filled].max() + 0.05)
        axes.set_ylim(-0.03, 1.03)
        axes.set_ylabel(LABELS[source])
        below.set(xlabel="score", ylabel="pairs (%)")
        for each in (axes, below):
            without_frame(each)
    grid[0, 0].legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def _legend(figure: "Figure", axes: Any, methods: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=methods, frameon=False)
