"""Scores and relevant items for tests of rankings, and metrics by the textbook."""

import itertools
import math
from typing import Any

import numpy as np
import torch

from evaluation.ranking import RankingResult, retrieval_metrics
from evaluation.scores import MatrixScores


def evaluate_scores(scores: np.ndarray, relevant: np.ndarray, **options: Any) -> RankingResult:
    """Metrics of scores (Q, N) with a boolean matrix of relevant items (Q, N)."""
    query, item = np.nonzero(relevant)
    return retrieval_metrics(MatrixScores(torch.tensor(scores, dtype=torch.float32)), query, item, **options)


def random_scores(queries: int, items: int, seed: int) -> np.ndarray:
    """Scores in [-1, 1], no two of a query equal."""
    scores = np.linspace(-1, 1, items, dtype=np.float32)
    return np.random.default_rng(seed).permuted(np.tile(scores, (queries, 1)), axis=1)


def random_relevant(queries: int, items: int, most: int, seed: int) -> np.ndarray:
    """1 to `most` relevant items for each query."""
    rng = np.random.default_rng(seed)
    relevant = np.zeros((queries, items), dtype=bool)
    for row in relevant:
        row[rng.choice(items, rng.integers(1, most + 1), replace=False)] = True
    return relevant


def metrics_of_order(hits: list[bool], k: int) -> dict[str, float]:
    """Textbook metrics of one ranking: hits[p] says whether the item at place p is relevant."""
    precisions = [sum(hits[: p + 1]) / (p + 1) for p in range(min(k, len(hits))) if hits[p]]
    return {
        "retrieved": sum(precisions) / len(precisions) if precisions else 0.0,
        "all": sum(precisions) / sum(hits),
        "recall": len(precisions) / sum(hits),
        "hit": float(bool(precisions)),
        "first": hits.index(True) + 1,
    }


def ndcg_of_order(gains: list[float], k: int) -> float:
    def dcg(values: list[float]) -> float:
        return sum(gain / math.log2(place + 2) for place, gain in enumerate(values[:k]))

    return dcg(gains) / dcg(sorted(gains, reverse=True))


def orders(scores: list[float]) -> list[tuple[int, ...]]:
    """All rankings that the scores allow."""
    every = itertools.permutations(range(len(scores)))
    return [order for order in every if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))]


def integer_embeddings(queries: int, items: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings whose products are exact in any order of summation, with many ties."""
    rng = torch.Generator().manual_seed(0)
    left, right = (torch.randint(-3, 4, (n, 12), generator=rng).float() for n in (queries, items))
    return left, right
