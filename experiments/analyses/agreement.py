"""Agreement of rankings between queries and their translations, as a table and a csv file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from common.atomic_files import replacing
from evaluation.analyses.group_scores import group_mean
from evaluation.analyses.rank_agreement import rank_agreement
from experiments.comparison.report import say
from experiments.result_files import csv_text

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def agreement_of_pairs(first: Floats, second: Floats, own: Ints) -> dict[str, Floats]:
    """Agreement of two scorings of N recordings for each of Q pairs, and the annotated recording's rank in both.

    Args:
        first, second: (Q, N) scores of queries and of their translations.
        own: (Q,) column of the annotated recording; -1: not known, and its ranks are NaN.
    """
    ranks = {name: _ranks(scores, own) for name, scores in (("query", first), ("translation", second))}
    return {
        **rank_agreement(first, second),
        **{f"rank_{name}": values for name, values in ranks.items()},
        **{f"R@10_{name}": np.where(np.isnan(v), np.nan, v <= 10) for name, v in ranks.items()},
    }


def print_agreement(values: Mapping[str, Floats], pairs: Sequence[tuple[str, str]]) -> None:
    """Print the mean of each value with its 95 % interval over queries, those of one text together."""
    console = Console(highlight=False, width=200)
    table = Table(Column("", no_wrap=True), box=SIMPLE_HEAD)
    for header in ("mean", "95 % interval", "pairs"):
        table.add_column(header, justify="right")
    queries = [query for query, _ in pairs]
    for name, column in values.items():
        found = group_mean(column, queries)
        if found.queries:
            interval = "-" if np.isnan(found.low) else f"{found.low:.3f} to {found.high:.3f}"
            table.add_row(name, f"{found.mean:.3f}", interval, str(found.queries))
    console.print(table)
    if not np.isfinite(values["rank_query"]).any():
        say(console, "No query is a caption of the pool, so the rank of a right recording is not known.")


def write_agreement(path: Path, values: Mapping[str, Floats], pairs: Sequence[tuple[str, str]]) -> None:
    """Write a row for each pair; a value that is not known is empty."""
    columns = [["" if np.isnan(value) else value for value in column.tolist()] for column in values.values()]
    rows = [[*pair, *cells] for pair, cells in zip(pairs, zip(*columns, strict=True), strict=True)]
    with replacing(path) as beside:
        beside.write_text(csv_text(["query", "translation", *values], rows), encoding="utf-8")


def _ranks(scores: Floats, own: Ints) -> Floats:
    """Expected rank of the annotated recording: the middle of its ties."""
    of_own = scores[np.arange(len(own)), own][:, None]
    ranks = 1 + (scores > of_own).sum(1) + ((scores == of_own).sum(1) - 1) / 2
    return np.where(own < 0, np.nan, ranks)
