"""Queries whose annotated recording is not among the best ten: their near misses, and how many of these are right."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from evaluation.analyses.near_misses import NEAR, ShareRight, share_right
from experiments.analyses.runs import Method, RankedRun
from experiments.analyses.sources import Source

RIGHT = 0.5
"""From this relevance on a near miss counts as right; recordings of a list have 1."""


@dataclass(frozen=True)
class NearMiss:
    """One of the best recordings of a query whose annotated one is not among the best ten.

    Attributes:
        method, run: name and folder.
        query: the caption.
        own: file name of the annotated recording; own_rank: its expected rank.
        place: from 1.
        item: file name of the near miss; captions: what is said of it.
        score: of the near miss.
        relevance: by source, where it is known.
    """

    method: str
    run: Path
    query: str
    own: str
    own_rank: float
    place: int
    item: str
    captions: str
    score: float
    relevance: dict[str, float]


@dataclass(frozen=True)
class RightRow:
    """How many errors of one run are right by one source.

    Attributes:
        method, run: name and folder.
        source: of relevance; empty: there is none besides the annotated pairs.
        queries: all of them.
        errors: queries whose annotated recording is not among the best ten, whether the source knows them or not.
        found: what the source says; None without one.
    """

    method: str
    run: Path
    source: str
    queries: int
    errors: int
    found: ShareRight | None


def near_misses(method: Method, sources: Sequence[Source]) -> list[NearMiss]:
    """The `NEAR` best recordings of every error of a method's runs.

    Args:
        method: to look at.
        sources: of relevance besides the annotated pairs.
    """
    said = _captions(method)
    return [each for run in method.runs for each in _of_run(method, run, sources, said)]


def shares_right(method: Method, sources: Sequence[Source]) -> list[RightRow]:
    """A row for each run and source; without a source one for each run."""
    rows = []
    for run in method.runs:
        errors = run.errors(method.own)
        if not sources:
            rows.append(RightRow(method.name, run.folder, "", len(method.own), len(errors), None))
        for source in sources:
            inside, grades = source.of_queries(errors)
            near, own = run.best[errors[inside], :NEAR], method.own[errors[inside]]
            found = share_right(grades, near, own, RIGHT)
            rows.append(RightRow(method.name, run.folder, source.name, len(method.own), len(errors), found))
    return rows


def _of_run(method: Method, run: RankedRun, sources: Sequence[Source], said: Sequence[str]) -> list[NearMiss]:
    errors = run.errors(method.own)
    known: dict[int, dict[str, list[float]]] = defaultdict(dict)
    for source in sources:
        inside, grades = source.of_queries(errors)
        for row, of_items in zip(errors[inside].tolist(), grades, strict=True):
            known[row][source.name] = of_items[run.best[row, :NEAR]].tolist()
    return [
        NearMiss(
            method.name,
            run.folder,
            method.queries.queries[row],
            method.names[method.own[row]],
            float(run.first_rank[row]),
            place + 1,
            method.names[item],
            said[item],
            float(run.scores[row, place]),
            {name: values[place] for name, values in known[row].items() if not isnan(values[place])},
        )
        for row in errors.tolist()
        for place, item in enumerate(run.best[row, :NEAR].tolist())
    ]


def _captions(method: Method) -> list[str]:
    """What is said of each recording."""
    said: list[list[str]] = [[] for _ in method.names]
    for column, caption in zip(method.own.tolist(), method.queries.queries, strict=True):
        said[column].append(caption)
    return [" | ".join(captions) for captions in said]
