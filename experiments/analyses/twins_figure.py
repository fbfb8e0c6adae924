"""The figure of twin sets: a panel for each measure, models beside each other, chance in grey."""

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING, Any

from evaluation.analyses.twins import CONTROL, MEASURES, Share
from experiments.figures.style import GREY, new_figure, shortened, without_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {
    "text": "text: which caption fits the recording?",
    CONTROL: "text, with another recording: the control",
    "audio": "audio: which recording fits the caption?",
    "CompA group": "CompA group: both, of both",
}
LEFT_OUT = ("CompA text", "CompA audio", "R@5", "R@5 change")
"""What the other panels say already."""


def draw_twins(shares: Sequence[tuple[str, str, Share]], title: str) -> "Figure":
    """Shares in % with their 95 % intervals, of (twins, model, share); at most three panels stand side by side."""
    found = {share.measure for _, _, share in shares}
    measures = [measure for measure in MEASURES if measure in found and measure not in LEFT_OUT]
    models = list(dict.fromkeys(model for _, model, _ in shares))
    columns = min(3, len(measures))
    lines = -(-len(measures) // columns)
    figure = new_figure(max(6.0, 4.6 * columns), 3.9 * lines + 0.6)
    panels = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes, measure in zip(panels, measures, strict=False):
        _draw_panel(axes, [each for each in shares if each[2].measure == measure], models)
        axes.set_title(TITLES.get(measure, measure), fontsize=10)
        if measure in TITLES:
            axes.set_ylim(-2, 102)
    for axes in panels[len(measures) :]:
        axes.set_axis_off()
    changes = any(isnan(share.chance) for _, _, share in shares)
    _name_colours(figure, models, "chance, or no change" if changes else "chance")
    figure.suptitle(title, parse_math=False, fontsize=11)
    return figure


def _draw_panel(axes: Any, shown: Sequence[tuple[str, str, Share]], models: Sequence[str]) -> None:
    kinds = list(dict.fromkeys(twins for twins, _, _ in shown))
    for twins, model, share in shown:
        middle, colour = kinds.index(twins), f"C{models.index(model)}"
        place = middle + 0.7 * ((models.index(model) + 0.5) / len(models) - 0.5)
        value, low, high = (100 * each for each in (share.value, share.low, share.high))
        axes.vlines(place, low, high, color=colour, linewidth=2, alpha=0.5)
        axes.plot(place, value, "o", color=colour, markersize=6)
        level = 0.0 if isnan(share.chance) else 100 * share.chance  # a change has none
        axes.hlines(level, middle - 0.42, middle + 0.42, color=GREY, linestyle="--", linewidth=1)
    many = len(kinds) > 4
    names = [shortened(kind, 14 if many else 22) for kind in kinds]
    axes.set_xticks(range(len(kinds)), names, rotation=30 if many else 0, ha="right" if many else "center")
    axes.set_xlim(-0.6, len(kinds) - 0.4)
    axes.set_ylabel("%")
    without_frame(axes)


def _name_colours(figure: "Figure", models: Sequence[str], line: str) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=f"C{i}", marker="o", linewidth=2, alpha=0.8) for i in range(len(models))]
    lines.append(Line2D([], [], color=GREY, linestyle="--", linewidth=1))
    legend = figure.legend(lines, [*models, line], loc="outside lower center", ncols=4, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name may hold dollar signs
