"""One picture of a comparison: how the scores of single queries changed, how sure the mean is, and which queries."""

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from experiments.comparison.paired_tests import PairTest, scores_of
from experiments.comparison.text import p_text, points
from experiments.figures.style import BLUE, GREEN, GREY, ORANGE, new_figure, without_frame
from experiments.results.experiment import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 4
EXAMPLES = 5


def draw_comparison(experiments: Sequence[Experiment], tests: Sequence[PairTest]) -> "Figure":
    """A row for each of the first pairs, by the metric that comes first in `tests`.

    Left the differences of all queries in order, and the mean with its 95 % intervals; right the queries that gained
    and lost most. Scores and ranks are means over a method's runs.
    """
    by_name = {experiment.name: experiment for experiment in experiments}
    drawn = [test for test in tests if test.metric == tests[0].metric]
    rows = drawn[:MOST_ROWS]
    figure = new_figure(15, 6.2 * len(rows))
    for test, (part,) in zip(rows, figure.subfigures(len(rows), 1, squeeze=False), strict=True):
        baseline, method = by_name[test.baseline], by_name[test.method]
        part.suptitle(f"{method.name} against {baseline.name}: {test.metric}", parse_math=False, weight="bold")
        axes = part.subplot_mosaic([["curve", "text"], ["means", "text"]], width_ratios=(2, 3), height_ratios=(3, 1))
        a, b, known = scores_of(baseline, method, test.metric)
        change = b.mean(axis=0) - a.mean(axis=0)  # (Q',)
        _draw_curve(axes["curve"], change)
        _draw_means(axes["means"], test)
        _draw_examples(axes["text"], baseline, method, test, change, np.flatnonzero(known))
    if len(drawn) > len(rows):
        figure.supxlabel(f"The first {len(rows)} of {len(drawn)} pairs of methods", color=GREY)
    return figure


def _draw_curve(axes: Any, change: npt.NDArray[np.float64]) -> None:
    ordered = 100 * np.sort(change)[::-1]
    share = 100 * (np.arange(len(ordered)) + 0.5) / len(ordered)
    for sign, color, word in ((1, GREEN, "better"), (-1, ORANGE, "worse")):
        part = sign * ordered > 0
        label = f"{word}: {100 * part.mean():.0f} %"
        axes.fill_between(share, 0, np.where(part, ordered, 0), color=color, linewidth=0, step="mid", label=label)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel=f"{len(ordered):,} queries, from gained to lost (%)", ylabel="change (points)", xlim=(0, 100))
    axes.legend(frameon=False, loc="upper right")
    without_frame(axes)


def _draw_means(axes: Any, test: PairTest) -> None:
    """The mean difference with its interval over queries, recordings and runs."""
    welch = test.uncertainty.welch
    rows = [
        ("queries", test.over_queries.difference, test.over_queries.interval, p_text(test.over_queries.p)),
        ("recordings", test.over_clips.difference, test.over_clips.interval, p_text(test.over_clips.p)),
        *([("runs", welch.difference, welch.interval, p_text(welch.p))] if welch else []),
    ]
    for y, (_, mean, interval, p) in enumerate(rows):
        axes.plot(100 * np.array(interval), [y, y], color=BLUE, linewidth=2)
        axes.plot([100 * mean], [y], color=BLUE, marker="o")
        axes.annotate(p, (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=GREY)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel=f"mean change {points(test.over_clips.difference)} points, with 95 % intervals over …")
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    without_frame(axes, "top", "right", "left")
    axes.tick_params(axis="y", length=0)


def _draw_examples(
    axes: Any,
    baseline: Experiment,
    method: Experiment,
    test: PairTest,
    change: npt.NDArray[np.float64],
    rows: npt.NDArray[np.int64],
) -> None:
    """The queries that changed most; among equal changes of the score those whose rank changed most."""
    before, after = (
        side.directions[test.metric.direction].first_rank.mean(axis=0)[rows] for side in (baseline, method)
    )
    texts = [baseline.directions[test.metric.direction].queries[row] for row in rows]
    order = np.lexsort((after - before, -change))
    axes.set_axis_off()
    y = 0.99
    for sign, title, color in ((1, "gained most", GREEN), (-1, "lost most", ORANGE)):
        axes.text(0, y, f"Queries that {title}: points, rank before → after", weight="bold", va="top")
        y -= 0.065
        for i in order[::sign][:EXAMPLES]:
            if sign * change[i] <= 0:
                break
            caption = wrap(texts[i], 78, max_lines=2, placeholder=" …")
            axes.text(0.09, y, points(change[i]), color=color, va="top", ha="right")
            axes.text(0.2, y, f"{before[i]:.3g} → {after[i]:.3g}", color=color, va="top", ha="center")
            axes.text(0.29, y, "\n".join(caption), va="top", parse_math=False)
            y -= 0.073
        y -= 0.03
    axes.set(xlim=(0, 1), ylim=(0, 1))
