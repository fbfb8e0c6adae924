"""The table, the csv and the figure of twin sets."""

import csv
from pathlib import Path

import numpy as np
import pytest

from evaluation.analyses.twins import Share
from experiments.analyses.twins import Row, grouped, print_twins, write_twins
from experiments.analyses.twins_figure import draw_twins

TEXT = Share("text", 0.75, 0.6, 0.9, 0.5, 0.1, 40)
GROUP = Share("CompA group", 0.2, 0.1, 0.4, 1 / 6, np.nan, 20)
CHANGE = Share("R@1 change", -0.05, -0.1, 0.0, np.nan, np.nan, 1500)
ROWS = [
    Row("order", "a [bold]run[/bold]", GROUP),
    Row("order", "a [bold]run[/bold]", TEXT),
    Row("count", "a $x$", CHANGE),
    Row("order", "b", TEXT),
]


def test_rows_stand_by_twins_and_measure() -> None:
    found = [(row.twins, row.share.measure, row.model) for row in grouped(ROWS)]
    assert found == [
        ("order", "text", "a [bold]run[/bold]"),
        ("order", "text", "b"),
        ("order", "CompA group", "a [bold]run[/bold]"),
        ("count", "R@1 change", "a $x$"),
    ]


def test_the_table_shows_each_figure(capsys: pytest.CaptureFixture[str]) -> None:
    print_twins(ROWS, "twins [of] two")
    lines = [line for line in capsys.readouterr().out.splitlines() if "│" in line]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]
    assert cells == [
        ["order", "text", "a [bold]run[/bold]", "75.0", "60.0 to 90.0", "50.0", "10.0", "40"],
        ["", "", "b", "75.0", "60.0 to 90.0", "50.0", "10.0", "40"],
        ["", "CompA group", "a [bold]run[/bold]", "20.0", "10.0 to 40.0", "16.7", "", "20"],
        ["count", "R@1 change", "a $x$", "-5.0", "-10.0 to 0.0", "", "", "1,500"],
    ]


def test_the_files_hold_the_same(tmp_path: Path) -> None:
    write_twins(tmp_path / "new", ROWS, "title")
    with (tmp_path / "new" / "twins.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["share"] for row in rows] == ["0.750000", "0.750000", "0.200000", "-0.050000"]
    assert [row["chance"] for row in rows] == ["0.500000", "0.500000", "0.166667", ""]
    assert (tmp_path / "new" / "twins.png").is_file()


def test_the_figure_has_a_point_for_each_share_and_chance_beside() -> None:
    figure = draw_twins([(row.twins, row.model, row.share) for row in ROWS], "title")
    panels = [axes for axes in figure.axes if axes.has_data()]
    shown = [sorted(float(np.asarray(line.get_ydata())[0]) for line in axes.get_lines()) for axes in panels]
    assert shown == [[75.0, 75.0], [20.0], [-5.0]]
    segments = [[float(c.get_segments()[0][0][1]) for c in axes.collections] for axes in panels]  # type: ignore[attr-defined]
    assert segments[0] == [60.0, 50.0, 60.0, 50.0]
    assert segments[2] == [-10.0, 0.0]
