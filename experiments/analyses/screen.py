"""An analysis on the screen: compact tables."""

from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from evaluation.analyses.hubness import random_hubness
from evaluation.analyses.near_misses import NEAR
from experiments.analyses.errors import RIGHT, RightRow
from experiments.analyses.files import Analysis
from experiments.analyses.hubs import HubRow
from experiments.analyses.performance import GroupRow
from experiments.comparison.report import say
from experiments.comparison.tables import pools_text
from experiments.comparison.text import points

LEVEL = 0.05
PRINTED = ("mAP@10", "nDCG@10")
"""Metrics of the tables; the files have all of them."""


def print_analysis(analysis: Analysis) -> None:
    """Print what was found: the metrics by groups of queries, hubness, and errors."""
    console = Console(highlight=False, width=200)
    say(console, pools_text(analysis.methods[0].experiment, analysis.split), *analysis.notes)
    for metric in (name for name in PRINTED if any(row.metric == name for row in analysis.groups)):
        console.print(_groups(analysis, metric))
    say(
        console,
        f"Rarest word: by the number of {analysis.reference} that hold it. * p < .05 after Holm, over recordings.",
    )
    console.print(_hubs(analysis))
    console.print(_errors(analysis.right))
    if any(row.found for row in analysis.right):
        say(console, f"Right: relevance of {RIGHT} or more; by chance: as many recordings drawn at random.")


def _groups(analysis: Analysis, metric: str) -> Table:
    """Means in % with half their 95 % interval, and differences to the first method in points."""
    rows = [row for row in analysis.groups if row.metric == metric]
    first, *others = [method.name for method in analysis.methods]
    table = _table(f"text to audio {metric} by groups of queries", "queries", "")
    for header in ("n", first, *others, *(f"{other} - {first}" for other in others)):
        table.add_column(escape(header), justify="right")
    by_cell = {(row.property, row.group, row.method, row.minus): row for row in rows}
    before = ""
    for name, group in dict.fromkeys((row.property, row.group) for row in rows):
        cells = [by_cell[name, group, method, ""] for method in (first, *others)]
        changes = [by_cell[name, group, method, first] for method in others]
        count = f"{cells[0].result.queries:,}"
        shown = [*map(_mean, cells), *map(_change, changes)]
        table.add_row("" if name == before else name, "" if name == "all" else group, count, *shown)
        before = name
    return table


def _mean(row: GroupRow) -> str:
    return f"{100 * row.result.mean:.1f}{_half(row, 1)}"


def _change(row: GroupRow) -> str:
    return f"{points(row.result.mean)}{_half(row, 2)}{' *' if row.p_holm < LEVEL else '  '}"


def _half(row: GroupRow, digits: int) -> str:
    half = 100 * (row.result.high - row.result.mean)
    return "" if np.isnan(half) else f" ± {half:.{digits}f}"


def _hubs(analysis: Analysis) -> Table:
    """A row for each method and kind of scores, the means over its runs."""
    table = _table("hubness of recordings, text to audio", "method", "scores")
    for header in ("runs", "skewness", "never in the best 10", "largest hub", "R@10"):
        table.add_column(header, justify="right")
    by_kind: dict[tuple[str, str, str], list[HubRow]] = {}
    for row in analysis.hubs:
        by_kind.setdefault((row.method, row.scores, row.bank), []).append(row)
    for (method, scores, bank), rows in by_kind.items():
        means = np.mean([(r.found.skewness, r.found.never, r.found.largest, r.recall) for r in rows], axis=0)
        kind = f"{scores} ({bank})" if bank else scores
        cells = f"{means[0]:.2f}", f"{100 * means[1]:.1f} %", f"{means[2]:.0f} queries", f"{100 * means[3]:.1f} %"
        table.add_row(escape(method), kind, str(len(rows)), *cells)
    items = len(analysis.methods[0].names)
    skewness, never = random_hubness(analysis.queries, items, analysis.hubs[0].k)
    table.add_row("ranking at random", "", "", f"{skewness:.2f}", f"{100 * never:.1f} %", "", f"{1000 / items:.1f} %")
    return table


def _errors(right: Sequence[RightRow]) -> Table:
    """A row for each method and source, the means over its runs."""
    table = _table("queries whose recording is not among the best 10", "method")
    for header in (
        "errors",
        "relevance",
        "known of",
        "best one right",
        "by chance",
        f"any of {NEAR} right",
        "by chance",
    ):
        table.add_column(header, justify="right")
    by_source: dict[tuple[str, str], list[RightRow]] = {}
    for row in right:
        by_source.setdefault((row.method, row.source), []).append(row)
    for (method, source), rows in by_source.items():
        errors = f"{np.mean([row.errors for row in rows]):.0f} of {rows[0].queries}"
        found = [row.found for row in rows if row.found is not None]
        cells = [f"{np.mean([each.errors for each in found]):.0f}"] if found else ["-"] * 5
        shares = np.array([each.shares for each in found])
        for column in shares.T if found else []:
            known = column[~np.isnan(column)]
            cells.append(f"{100 * known.mean():.1f} %" if len(known) else "-")
        table.add_row(escape(method), errors, source or "-", *cells)
    return table


def _table(title: str, *columns: str) -> Table:
    return Table(
        *(Column(name, no_wrap=True) for name in columns),
        box=SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
    )
