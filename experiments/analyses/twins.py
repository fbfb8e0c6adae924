"""What models make of twin sets: a table on the screen, the same as csv, and a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from evaluation.analyses.twins import MEASURES, Share
from experiments.analyses.twins_figure import draw_twins
from experiments.result_files import csv_text, write_together

FILES = ("twins.csv", "twins.png")
HEADER = ("twins", "measure", "model", "share", "low", "high", "chance", "ties", "n")


@dataclass(frozen=True)
class Row:
    """A share of one model on one kind of twins."""

    twins: str
    model: str
    share: Share


def print_twins(rows: Sequence[Row], title: str) -> None:
    """Print the table, shares in per cent; models of one measure stand below each other."""
    right = [Column(name, justify="right") for name in ("share", "95 % interval", "chance", "ties", "n")]
    table = Table(
        "twins", "measure", Column("model", overflow="fold"), *right, title=escape(title), title_justify="left"
    )
    before = ("", "")
    for row in grouped(rows):
        share = row.share
        now = (row.twins, share.measure)
        names = [name if name != last else "" for name, last in zip(now, before, strict=True)]
        if names[0]:
            names[1] = share.measure
            table.add_section()
        cells = [percent(share.value), f"{percent(share.low)} to {percent(share.high)}"]
        cells += [percent(share.chance), percent(share.ties), f"{share.n:,}"]
        table.add_row(*map(escape, names), escape(row.model), *cells)
        before = now
    Console(highlight=False, width=200).print(table)


def write_twins(folder: Path, rows: Sequence[Row], title: str) -> None:
    """Write `twins.csv`, as fractions of 1, and `twins.png` into a folder: both or, when one fails, none.

    Raises:
        OSError: it cannot be written.
    """
    lines: list[list[object]] = []
    for row in grouped(rows):
        share = row.share
        numbers = (share.value, share.low, share.high, share.chance, share.ties)
        shown = ["" if isnan(number) else f"{number:.6f}" for number in numbers]
        lines.append([row.twins, share.measure, row.model, *shown, share.n])
    figure = draw_twins([(row.twins, row.model, row.share) for row in grouped(rows)], title)
    write_together(folder, dict(zip(FILES, (csv_text(HEADER, lines), figure), strict=True)))


def grouped(rows: Sequence[Row]) -> list[Row]:
    """By twins in the order of their first appearance, then by measure, then by model as they are given."""
    twins = list(dict.fromkeys(row.twins for row in rows))
    return sorted(rows, key=lambda row: (twins.index(row.twins), MEASURES.index(row.share.measure)))


def percent(value: float) -> str:
    """A fraction in per cent; empty where there is none.

    >>> percent(0.1666), percent(-0.0001), percent(float("nan"))
    ('16.7', '0.0', '')
    """
    return "" if isnan(value) else f"{round(100 * value, 1) + 0.0:.1f}"
