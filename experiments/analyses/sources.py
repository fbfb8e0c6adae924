"""What is known of the relevance of recordings to queries: annotated pairs, known relevance, lists, ratings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from experiments.analyses.runs import Method
from experiments.results.human_judgements import HumanJudgements

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DataFacts:
    """What the data of a run say besides the annotated pairs.

    Attributes:
        training: captions of the training split; None: they cannot be read.
        known: (N, N) relevance in [0, 1] between the recordings that were evaluated, by id; None: not known.
        events: (N,) the number of events in each; None: not known.
        note: why something could not be read; empty where all could.
    """

    training: Sequence[str] | None = None
    known: npt.NDArray[np.float32] | None = None
    events: Ints | None = None
    note: str = ""


@dataclass(frozen=True)
class Source:
    """One source of relevance.

    Attributes:
        name: "annotated", "known", "listed" or "rated".
        queries: (Q',) rows of the queries that it knows something of.
        relevance_of: from places among these (q,) to the relevance (q, N) of all recordings; NaN: not known.
    """

    name: str
    queries: Ints
    relevance_of: Callable[[Ints], Floats]

    def of_queries(self, rows: Ints) -> tuple[Ints, Floats]:
        """Which of some queries it knows, as places among `rows`, and the relevance (q, N) of all recordings."""
        place = np.searchsorted(self.queries, rows)
        inside = np.flatnonzero(self.queries[np.minimum(place, len(self.queries) - 1)] == rows)
        return inside, self.relevance_of(place[inside])


def sources_of(method: Method, facts: DataFacts, judgements: Sequence[HumanJudgements]) -> list[Source]:
    """All sources of relevance for the queries of a method, the annotated pairs first.

    Raises:
        common.errors.RunError: judgements of other queries.
    """
    own, items = method.own, len(method.names)
    every = np.arange(len(own))
    sources = [Source("annotated", every, lambda rows: np.eye(items)[own[rows]])]
    if facts.known is not None:
        known = facts.known
        sources.append(Source("known", every, lambda rows: known[own[rows]].astype(np.float64)))
    return sources + [_judged(method, each) for each in judgements]


def _judged(method: Method, judgements: HumanJudgements) -> Source:
    """Lists name all that match, so every other recording is not right; of ratings only the rated ones are known."""
    matched = judgements.match(method.queries.queries, method.names)
    listed = judgements.kind == "relevant_clips"
    grades = np.full((len(matched.caption), len(method.names)), 0.0 if listed else np.nan)
    grades[matched.query, matched.item] = matched.grade
    order = np.argsort(matched.caption)
    grades = grades[order]
    return Source("listed" if listed else "rated", matched.caption[order], lambda rows: grades[rows])
