"""A metric of one's own: one value a query, from what is known of a ranking."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from common.directions import Direction
from common.errors import RelevanceError
from evaluation.embedding_pool import EmbeddingPool
from evaluation.metrics import mean_of_known, per_query, summarise
from evaluation.ranking import RankingResult
from evaluation.scores import MatrixScores, Scores
from evaluation.ties import Floats, chance_groups

GRADED = "nDCG@10"
TAKEN = ("direction", "query_id", "query", "clip_id", "pool_size", "relevant_ids", GRADED, "loss", "queries", "items")
"""Names of other columns and values that stand beside the metrics."""


@dataclass(frozen=True)
class Ranked:
    """What a metric is computed from: one direction's ranking of N items for Q queries.

    Every process of a training has the whole of it and computes the same values.

    Attributes:
        direction: "text_to_audio" (queries are captions, items recordings) or "audio_to_text".
        result: places of all relevant items with their ties (`result.groups`), all built-in metrics, "first_rank" among
            them (`result.per_query`), and the ten best items.
        scores: of all queries and items; `scores.block` gives a part of the matrix (Q, N).
        pool: the split's embeddings and ids; its names and captions are not known here.
    """

    direction: Direction
    result: RankingResult
    scores: Scores
    pool: EmbeddingPool


class QueryMetric(ABC):
    """A metric with one value a query; its mean is logged beside the built-in ones. Name subclasses in `model.metrics`.

    A value is a fraction of 1, larger is better, and tables show it in %. Only a metric whose name ends in "rank" is
    shown as it is, and smaller is better.
    """

    @property
    def name(self) -> str:
        """Under which it is logged and kept; a class with settings may put them in it, as in "MRR@20"."""
        return type(self).__name__

    @abstractmethod
    def __call__(self, ranked: Ranked) -> Floats:
        """The value of each query, (Q,) float64; NaN for a query that has none, which the mean leaves out.

        For its value by chance it is called with a ranking in which all items tie.
        """


def check_metrics(metrics: Sequence[QueryMetric]) -> None:
    """Whether all names can stand beside those of the built-in metrics.

    Raises:
        RelevanceError: one is used twice, or cannot be a part of a logged name.
    """
    built_in = per_query(chance_groups(1, np.array([1])))
    taken = {*TAKEN, *built_in, *summarise(built_in, 1)}
    for metric in metrics:
        if not metric.name or "/" in metric.name or not metric.name.isprintable() or metric.name.startswith("top10_"):
            raise RelevanceError(f"model.metrics: {metric.name!r} cannot be a metric's name; give one without '/'")
        if metric.name in taken:
            raise RelevanceError(f"model.metrics: the name {metric.name} is taken; give the metric another `name`")
        taken.add(metric.name)


def with_metrics(ranked: Ranked, metrics: Sequence[QueryMetric]) -> RankingResult:
    """The ranking with further metrics, and with their means for a scorer that gives all items the same score.

    Raises:
        RelevanceError: a metric does not give one value a query.
    """
    if not metrics:
        return ranked.result
    result, scores = ranked.result, ranked.scores
    constant = replace(
        ranked,
        result=replace(
            result,
            groups=chance_groups(result.items, result.groups.total),
            topk_items=np.broadcast_to(np.arange(result.topk_items.shape[1]), result.topk_items.shape),
            topk_scores=np.zeros_like(result.topk_scores),
            further={},
        ),
        scores=MatrixScores(torch.zeros((), device=scores.device).expand(scores.queries, scores.items)),
    )
    values, chance = ({metric.name: _values(metric, each) for metric in metrics} for each in (ranked, constant))
    return result.with_further(values, {name: mean_of_known(column) for name, column in chance.items()})


def _values(metric: QueryMetric, ranked: Ranked) -> Floats:
    values = np.asarray(metric(ranked), dtype=np.float64)
    if values.shape != (ranked.scores.queries,) or np.isinf(values).any():
        raise RelevanceError(
            f"model.metrics: {metric.name} gave values of shape {values.shape} for {ranked.scores.queries} queries"
            f"{', some infinite' if np.isinf(values).any() else ''}; give one finite value or NaN for each query"
        )
    return values
