"""The evaluation of a pool: both directions ranked, with all their metrics, as one result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from common.directions import AUDIO_TO_TEXT, TEXT_TO_AUDIO, Direction
from evaluation.embedding_pool import EmbeddingPool
from evaluation.gated_scores import GatedScores
from evaluation.metrics import mean_of_known
from evaluation.ndcg import ndcg_from_scores
from evaluation.query_metric import GRADED, QueryMetric, Ranked, with_metrics
from evaluation.ranking import RankingResult, retrieval_metrics
from evaluation.ranks import Indices
from evaluation.scores import EmbeddingScores, MatrixScores, Scores

Rank = Callable[[Scores, Indices, Indices], RankingResult]
"""Ranks all items by scores and evaluates the ranking by relevant pairs, as `retrieval_metrics` does."""


@dataclass(frozen=True)
class Evaluation:
    """What came out of an evaluation, for callbacks, tables and files.

    Attributes:
        split: "validation" or "test".
        pool: what was ranked.
        scores: of its captions (queries) and recordings (items).
        rankings: by direction.
        notes: what has to be said of further metrics.
    """

    split: str
    pool: EmbeddingPool
    scores: Scores
    rankings: Mapping[Direction, RankingResult]
    notes: tuple[str, ...] = ()

    def named(self, names: Mapping[int, str], captions: Mapping[int, str]) -> Evaluation:
        """The same with a pool that has names and captions, by their ids."""
        return replace(self, pool=self.pool.named(names, captions))


def scores_of(pool: EmbeddingPool) -> Scores:
    """The products of a pool's embeddings, captions (C, ...) and recordings, divided by those of gates it has some."""
    return GatedScores(pool.text, pool.audio, pool.gates) if pool.gates else EmbeddingScores(pool.text, pool.audio)


def evaluate(
    split: str,
    pool: EmbeddingPool,
    scores: Scores | None = None,
    *,
    rank: Rank = retrieval_metrics,
    metrics: Sequence[QueryMetric] = (),
) -> Evaluation:
    """Rank a pool in both directions.

    Args:
        split: that the pool is of.
        pool: of A recordings and C captions; nDCG@10 is added where it knows their relevance.
        scores: of the captions and recordings; default: `scores_of` the pool.
        rank: how a ranking is made, for instance shared by several processes.
        metrics: further ones, of both directions.

    Raises:
        RelevanceError: as `evaluation.ranks.count_ranks`, or a metric does not give one value a query.
    """
    scores = scores_of(pool) if scores is None else scores
    described = pool.caption_audio
    rows = torch.arange(len(described), device=described.device)
    rankings: dict[Direction, RankingResult] = {
        TEXT_TO_AUDIO: rank(scores, rows, described),
        AUDIO_TO_TEXT: rank(scores.transposed(), described, rows),
    }
    if pool.relevance is not None:
        truth = pool.relevance.to(scores.device)  # (A, A)
        sides: dict[Direction, tuple[Scores, Callable[[Tensor], Tensor]]] = {
            TEXT_TO_AUDIO: (scores, lambda rows: truth[described[rows]]),
            AUDIO_TO_TEXT: (scores.transposed(), lambda rows: truth[rows][:, described]),
        }
        rankings = {side: _with_ndcg(rankings[side], *graded) for side, graded in sides.items()}
    for side, ranking in rankings.items():
        of_side = scores if side == TEXT_TO_AUDIO else scores.transposed()
        rankings[side] = with_metrics(Ranked(side, ranking, of_side, pool), metrics)
    return Evaluation(split, pool, scores, rankings)


def _with_ndcg(ranking: RankingResult, scores: Scores, gains_of: Callable[[Tensor], Tensor]) -> RankingResult:
    constant = MatrixScores(torch.zeros((), device=scores.device).expand(scores.queries, scores.items))
    by_chance = mean_of_known(ndcg_from_scores(constant, gains_of).cpu().numpy())
    return ranking.with_further({GRADED: ndcg_from_scores(scores, gains_of).cpu().numpy()}, {GRADED: by_chance})
