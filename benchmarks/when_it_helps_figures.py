"""Figures of `when_it_helps.py`: methods less InfoNCE under the same conditions, with 95 % intervals over recordings.

A test comes as the settings of its method, the split and the test itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.atomic_files import replacing
from experiments.comparison.paired_tests import PairTest
from experiments.comparison.summaries import Metric
from experiments.figures.style import BLUE, GREEN, GREY, ORANGE, new_figure, save_figure, without_frame

Row = dict[str, Any]
Shown = tuple[Row, str, PairTest]
Metrics = Mapping[tuple[str, Metric], str]
Label = Callable[[Row], Any]
Panel = tuple[str, Label, Label, Callable[[Row], bool]]
"""A row of panels: what is on the x axis, its values, the series, and which tests are shown."""

PLAIN = {
    "direction": "both", "batch_size": 256, "train_captions": "all", "label_noise": 0.0, "train_fraction": 1.0,
    "group": None,
}  # fmt: skip
"""The conditions of the synthetic study that all others differ from in one way."""
PURPLE = "#7b4fa3"


def captions_figure(path: Path, tests: Sequence[Shown], metrics: Metrics) -> None:
    """ListNet in both directions: by batch size and noise, by omega and batch size."""
    both = {"direction": "both"}
    _draw(
        path,
        tests,
        metrics,
        [
            ("batch size", _value("batch_size"), _value("audio"), _having({**both, "omega": 0.05})),
            ("omega", _value("omega"), _batch, _having({**both, "audio": "noise_1"})),
        ],
    )


def synthetic_figure(path: Path, tests: Sequence[Shown], metrics: Metrics) -> None:
    """Targets from captions and known ones: by batch size, by condition, and by the quality of the targets."""
    sizes = {key: value for key, value in PLAIN.items() if key not in ("batch_size",)}
    _draw(
        path,
        tests,
        metrics,
        [
            ("batch size", _value("batch_size"), _method, lambda row: _is_usual(row) and _having(sizes)(row)),
            ("", _condition, _method, lambda row: _is_usual(row) and row["batch_size"] == PLAIN["batch_size"]),
            ("", targets, _omega, _having(PLAIN)),
        ],
    )


FIGURES = {"captions": captions_figure, "synthetic": synthetic_figure}


def targets(row: Row) -> str:
    """What the targets were made of, in words."""
    if row["relevance"] == "KnownRelevance":
        return "known" + (f"\n± {row['target_noise']:g}" if row["target_noise"] else "")
    model = "mpnet" if "mpnet" in str(row["sentence_bert"]) else "MiniLM"
    return model if row["scoring"] in (None, "Logistic", "Logistic (2.73, 4.58)") else f"{model}\ncalibrated"


def _is_usual(row: Row) -> bool:
    return targets(row) in ("MiniLM", "known")


def _method(row: Row) -> str:
    return f"{targets(row)}, omega {row['omega']:g}"


def _omega(row: Row) -> str:
    return f"omega {row['omega']:g}"


def _batch(row: Row) -> str:
    return f"batch size {row['batch_size']:>4}"


def _condition(row: Row) -> str:
    differing = [key for key, value in PLAIN.items() if row[key] != value]
    names = {
        "direction": "text to\naudio",
        "train_captions": "one\ncaption",
        "label_noise": f"{100 * (row['label_noise'] or 0):.0f} %\nwrong",
        "train_fraction": f"{100 * (row['train_fraction'] or 0):.0f} %\nof data",
        "group": f"groups\nof {row['group']}",
    }
    return names[differing[0]] if differing else "plain"


def _value(key: str) -> Label:
    return lambda row: row[key]


def _having(wanted: Row) -> Callable[[Row], bool]:
    return lambda row: wanted.items() <= row.items()


def _draw(path: Path, tests: Sequence[Shown], metrics: Metrics, panels: Sequence[Panel]) -> None:
    """A column a metric, a row of panels each."""
    figure = new_figure(4.4 * len(metrics), 3.4 * len(panels))
    grid = figure.subplots(len(panels), len(metrics), squeeze=False)
    explained: list[Any] = []
    for axes_of_row, (name, place_of, series_of, wanted) in zip(grid, panels, strict=True):
        chosen = [each for each in tests if wanted(each[0])]
        for axes, ((split, metric), title) in zip(axes_of_row, metrics.items(), strict=True):
            of_metric = [each for each in chosen if (each[1], each[2].metric) == (split, metric)]
            _draw_panel(axes, of_metric, place_of, series_of)
            axes.set_title(title, fontsize=9)
            axes.set_xlabel(name)
        axes_of_row[0].set_ylabel("less InfoNCE, points")
        if series_of not in explained:
            axes_of_row[0].legend(frameon=False, fontsize=8)
            explained.append(series_of)
    with replacing(path) as beside:
        save_figure(figure, beside)


def _draw_panel(axes: Any, tests: Sequence[Shown], place_of: Label, series_of: Label) -> None:
    """The differences in points with their 95 % intervals over recordings."""
    places = _in_order(place_of(row) for row, _, _ in tests)
    levels = _in_order(series_of(row) for row, _, _ in tests)
    for i, (level, shade) in enumerate(zip(levels, (BLUE, ORANGE, GREEN, PURPLE), strict=False)):
        found = {place_of(row): test.over_clips for row, _, test in tests if series_of(row) == level}
        at = [place for place in places if place in found]
        middle = [100 * found[place].difference for place in at]
        half = [100 * (found[place].interval[1] - found[place].difference) for place in at]
        xs = [places.index(place) + 0.12 * (i - (len(levels) - 1) / 2) for place in at]
        axes.errorbar(xs, middle, half, color=shade, marker="o", linestyle="none", capsize=3, label=str(level))
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xticks(range(len(places)), [str(place) for place in places], fontsize=8)
    without_frame(axes)


def _in_order(values: Any) -> list[Any]:
    found = set(values)
    return sorted(found, key=lambda value: (value == "plain", value) if isinstance(value, str) else (False, value))
