"""The figure of a comparison."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from experiments.comparison.paired_tests import compare_experiments
from experiments.figures.comparison import draw_comparison
from experiments.results.experiment import read_experiments
from tests.support.compared import BACK, MAP


def shown_row(query: str, change: float, before: float, after: float) -> list[str]:
    return [f"{100 * change:+.2f}", f"{before:.3g} → {after:.3g}", query]


@pytest.mark.slow
def test_the_figure_shows_what_changed_most(runs: Path) -> None:
    for method in ("base_line", "better"):
        for seed in (0, 2, 10):
            (runs / method / str(seed) / "pool_test.safetensors").unlink()  # it needs none
    experiments = read_experiments([runs / "base_line", runs / "better"])
    tests = compare_experiments(experiments, [MAP, BACK], 9)
    figure = draw_comparison(experiments, tests)
    assert isinstance(figure, Figure)
    curve, text, means = figure.axes
    shown = [item.get_text().replace("\n", " ") for item in text.texts]
    first, second = (experiment.directions["text_to_audio"] for experiment in experiments)
    change = second.scores["mAP@10"].mean(axis=0) - first.scores["mAP@10"].mean(axis=0)
    before, after = (side.first_rank.mean(axis=0) for side in (first, second))
    order = sorted(range(len(change)), key=lambda row: (-change[row], after[row] - before[row]))
    assert change[order[4]] > 0 > change[order[-5]]
    cells = [cell for row in order[:5] for cell in shown_row(first.queries[row], change[row], before[row], after[row])]
    assert shown[1:16] == cells
    cells = [c for row in order[:-6:-1] for c in shown_row(first.queries[row], change[row], before[row], after[row])]
    assert shown[17:] == cells
    legend = curve.get_legend()
    assert legend is not None
    labels = [item.get_text() for item in legend.get_texts()]
    assert labels == [f"better: {100 * (change > 0).mean():.0f} %", f"worse: {100 * (change < 0).mean():.0f} %"]
    assert [label.get_text() for label in means.get_yticklabels()] == ["queries", "recordings", "runs"]
    figure.savefig(runs / "figure.png")  # dollar signs and brackets in captions are no markup

    same = [experiments[0], replace(experiments[0], name="the same")]
    figure = draw_comparison(same, compare_experiments(same, [MAP], 9))
    figure.savefig(runs / "figure.png")
    assert len(figure.axes[1].texts) == 2  # headings over nothing

    many = [replace(experiments[0], name=name) for name in "abcd"]
    figure = draw_comparison(many, compare_experiments(many, [MAP], 9))
    assert len(figure.axes) == 4 * 3
    assert figure.get_supxlabel() == "The first 4 of 6 pairs of methods"
