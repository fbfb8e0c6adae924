"""Ranking metrics for binary relevance, at their expected value over a random order of tied items.

Everything is computed from two counts for each relevant item: how many items score higher and how many score the same
(`relevance.ranks.count_ranks`). Ties get the mean over all orders of the tied items, in closed form (McSherry & Najork
2008, "Computing information retrieval performance measures efficiently in the presence of tied scores"); so a collapsed
model, which scores all items alike, gets exactly the value of chance.

The relevant items of one query that tie make a group: `size` items share the places above+1 .. above+size, `relevant`
of them are relevant, and `found` relevant items stand before them. Without ties every group has size 1. A cut-off k
leaves a group wholly inside, wholly outside, or crosses it: at most one for each query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from torch import Tensor

from relevance.errors import RelevanceError
from relevance.ranks import BLOCK_ELEMENTS, Indices, RankCounts, count_ranks

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Normaliser = Literal["retrieved", "all"]


@dataclass(frozen=True)
class TieGroups:
    """G groups of tied relevant items of Q queries, sorted by query, then by place. All arrays are int64.

    Attributes:
        query: (G,) from 0 to Q-1, each at least once.
        above: (G,) items that score higher than the group.
        size: (G,) items in the group, relevant or not.
        relevant: (G,) relevant items in the group.
        found: (G,) relevant items of the query above the group.
        total: (Q,) relevant items of each query.
    """

    query: Ints
    above: Ints
    size: Ints
    relevant: Ints
    found: Ints
    total: Ints

    def within(self, k: int) -> Ints:
        """How many of each group's places (G,) are among the first k."""
        if k < 1:
            raise RelevanceError(f"the cut-off k is {k}: give at least 1")
        places: Ints = np.clip(k - self.above, 0, self.size)
        return places

    def sum(self, values: Floats, where: npt.NDArray[np.bool_] | slice = slice(None)) -> Floats:
        """The sum of values, one for each group in `where`, by query: (Q,)."""
        return np.bincount(self.query[where], values, minlength=len(self.total)).astype(np.float64, copy=False)


def tie_groups(query: Ints, greater: Ints, equal: Ints) -> TieGroups:
    """Group P relevant items, in any order, by query and score.

    Args:
        query: (P,) int64, queries numbered from 0 without gaps.
        greater: (P,) int64, items that score higher.
        equal: (P,) int64, items that score the same, itself included.

    Raises:
        RelevanceError: a query number missing, or counts that contradict each other.

    >>> tie_groups(np.array([0, 0, 0]), np.array([2, 0, 2]), np.array([4, 1, 4])).relevant
    array([1, 2])
    """
    order = np.lexsort((greater, query))
    query, greater, equal = query[order], greater[order], equal[order]
    total = np.bincount(query)
    if not total.all():
        raise RelevanceError(f"query {int(total.argmin())} has no relevant item: number queries from 0 without gaps")
    new = np.ones(len(query), dtype=bool)
    new[1:] = (query[1:] != query[:-1]) | (greater[1:] != greater[:-1])
    starts = np.flatnonzero(new)
    relevant = np.diff(starts, append=len(query))
    size = equal[starts]
    if (greater < 0).any() or (equal != np.repeat(size, relevant)).any() or (size < relevant).any():
        raise RelevanceError("counts contradict each other: give `greater` and `equal` of one and the same scoring")
    found = starts - (np.cumsum(total) - total)[query[starts]]
    return TieGroups(query[starts], greater[starts], size, relevant, found, total)


def chance_groups(pool_size: int, total: Ints) -> TieGroups:
    """What a constant scorer makes of a pool of items: all tie. `total` (Q,) int64: relevant items of each query."""
    if total.min() < 1 or total.max() > pool_size:
        raise RelevanceError(
            f"{int(total.min())} to {int(total.max())} relevant items: give 1 to the pool's {pool_size}"
        )
    none = np.zeros_like(total)
    return TieGroups(np.arange(len(total)), none, np.full_like(total, pool_size), total, none, total)


def average_precision(groups: TieGroups, k: int = 10, normaliser: Normaliser = "retrieved") -> Floats:
    """Expected average precision (Q,) at k: the mean of the precision at each relevant item of the first k.

    "retrieved" divides by the relevant items among the first k (Xie et al. 2024; torchmetrics); "all" by all relevant
    items of the query (trec_eval, ranx). A query with none among the first k has 0. Both agree where one item is
    relevant.

    Of the group that crosses the cut-off, a random number x of relevant items falls among the first k: hypergeometric,
    and given x their places are uniform. The mean is taken over x, since "retrieved" divides by it.

    >>> groups = tie_groups(np.array([0, 0]), np.array([1, 20]), np.array([1, 1]))  # ranks 2 and 21
    >>> average_precision(groups), average_precision(groups, normaliser="all")
    (array([0.5]), array([0.25]))
    """
    if normaliser not in get_args(Normaliser):
        raise RelevanceError(f"normaliser is {normaliser!r}: give one of {', '.join(get_args(Normaliser))}")
    places = groups.within(k)
    inside, crossing = places == groups.size, (places > 0) & (places < groups.size)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, k + 1))])

    def precisions(where: npt.NDArray[np.bool_], relevant: Ints | int) -> Floats:
        """Expected sum of the precisions at `relevant` items whose order among the group's places is random.

        Place p holds one with probability relevant / n and then has (p-1) (relevant-1) / (n-1) of them before it; the
        sums over p of 1 / (above+p) and (p-1) / (above+p) are differences of harmonic numbers.
        """
        above, n = groups.above[where], places[where]
        first = np.where(n == 1, 1 / (above + 1), harmonic[above + n] - harmonic[above])  # 1 / rank without rounding
        earlier = n - (above + 1) * first
        mean = (groups.found[where] + 1) * first + (relevant - 1) / np.maximum(n - 1, 1) * earlier
        return np.asarray(relevant / n * mean, dtype=np.float64)

    def normalised(precision: Floats, hits: Floats, query: Ints | slice) -> Floats:
        divisor: Floats = groups.total[query].astype(np.float64) if normaliser == "all" else np.maximum(hits, 1)
        return precision / divisor

    hits = groups.sum(groups.relevant[inside], inside)
    sums = groups.sum(precisions(inside, groups.relevant[inside]), inside)
    result = normalised(sums, hits, slice(None))
    query, relevant = groups.query[crossing], groups.relevant[crossing]
    if len(query):
        result[query] = 0
        for x in range(min(k, relevant.max()) + 1):
            probability = _hypergeometric(x, groups.size[crossing], relevant, places[crossing])
            result[query] += probability * normalised(sums[query] + precisions(crossing, x), hits[query] + x, query)
    return result


def recall(groups: TieGroups, k: int) -> Floats:
    """Expected share (Q,) of a query's relevant items that are among the first k: hits / 5 for five captions."""
    return groups.sum(groups.relevant * groups.within(k) / groups.size) / groups.total


def hit_rate(groups: TieGroups, k: int) -> Floats:
    """Probability (Q,) that any relevant item is among the first k. Equals recall where one item is relevant."""
    first = groups.found == 0  # only a query's first group can decide: any later one stands behind a relevant item
    return 1 - _hypergeometric(0, groups.size[first], groups.relevant[first], groups.within(k)[first])


def first_rank(groups: TieGroups) -> Floats:
    """Expected rank (Q,), from 1, of the first relevant item: above + (size+1) / (relevant+1) of its group.

    With one relevant item among n tied ones this is the middle of their places, above + (n+1) / 2.
    """
    first = groups.found == 0
    rank: Floats = groups.above[first] + (groups.size[first] + 1) / (groups.relevant[first] + 1)
    return rank


def tied(groups: TieGroups) -> npt.NDArray[np.bool_]:
    """Whether any relevant item of the query (Q,) scores the same as another item, relevant or not."""
    return groups.sum((groups.size > 1).astype(np.float64)) > 0


def _hypergeometric(x: int, size: Ints, relevant: Ints, draws: Ints) -> Floats:
    """P(x of the relevant among `size` items are in `draws` of them): C(r, x) C(n-r, d-x) / C(n, d), as products."""
    probability = np.ones(len(size))
    for i in range(x):
        # Where size <= i a former factor was 0 already (draws, relevant <= size); the maximum only avoids 0 / 0.
        probability *= (draws - i) * (relevant - i) / ((i + 1) * np.maximum(size - i, 1))
    for j in range(int(draws.max(initial=0)) - x):
        probability *= np.where(j < draws - x, (size - relevant - j) / np.maximum(size - x - j, 1), 1)
    return probability


def per_query(groups: TieGroups, *, ks: Sequence[int] = (1, 5, 10), map_at: int = 10) -> dict[str, Floats]:
    """All metrics, (Q,) float64 each: first_rank, AP@10, AP@10_all, R@k, hit@k, and tied as 0 or 1."""
    return {
        f"AP@{map_at}": average_precision(groups, map_at),
        f"AP@{map_at}_all": average_precision(groups, map_at, "all"),
        **{f"R@{k}": recall(groups, k) for k in ks},
        **{f"hit@{k}": hit_rate(groups, k) for k in ks},
        "first_rank": first_rank(groups),
        "tied": tied(groups).astype(np.float64),
    }


def summarise(columns: Mapping[str, Floats], items: int) -> dict[str, float]:
    """Means over queries of what `per_query` gave: mAP@10, ..., median_rank, mean_rank, tie_rate, queries, items."""
    means = {name.replace("AP@", "mAP@"): float(values.mean()) for name, values in columns.items()}
    mean_rank, tie_rate = means.pop("first_rank"), means.pop("tied")
    ranks = columns["first_rank"]
    return {
        **means,
        "median_rank": float(np.median(ranks)),
        "mean_rank": mean_rank,
        "tie_rate": tie_rate,
        "queries": float(len(ranks)),
        "items": float(items),
    }


def chance(pool_size: int, relevant: int = 1, *, ks: Sequence[int] = (1, 5, 10), map_at: int = 10) -> dict[str, float]:
    """The metrics of a scorer that knows nothing: `relevant` of `pool_size` items are relevant, all items tie.

    >>> chance(1045)["R@10"] == 10 / 1045, chance(1045)["median_rank"]
    (True, 523.0)
    """
    groups = chance_groups(pool_size, np.array([relevant]))
    return summarise(per_query(groups, ks=ks, map_at=map_at), pool_size)


@dataclass(frozen=True)
class RankingResult:
    """How well one set of embeddings ranks N items for Q queries.

    Attributes:
        groups: the places of all relevant items.
        items: the size N of the pool.
        topk_items: (Q, topk) int64, the best items, best first.
        topk_scores: (Q, topk) float32.
        ks: cut-offs of R@k and hit@k.
        map_at: cut-off of mAP.
    """

    groups: TieGroups
    items: int
    topk_items: Ints
    topk_scores: npt.NDArray[np.float32]
    ks: tuple[int, ...]
    map_at: int

    @classmethod
    def of(cls, counts: RankCounts, *, ks: Sequence[int] = (1, 5, 10), map_at: int = 10) -> RankingResult:
        """The result that the counts of all queries make, on the CPU."""
        return cls(
            groups=tie_groups(counts.query.cpu().numpy(), counts.greater.cpu().numpy(), counts.equal.cpu().numpy()),
            items=counts.items,
            topk_items=counts.topk_items.cpu().numpy(),
            topk_scores=counts.topk_scores.cpu().numpy(),
            ks=tuple(ks),
            map_at=map_at,
        )

    @cached_property
    def per_query(self) -> dict[str, Floats]:
        """Each metric as (Q,) float64, under the names of `per_query`: the columns of a per-query table."""
        return per_query(self.groups, ks=self.ks, map_at=self.map_at)

    def summary(self) -> dict[str, float]:
        """Mean metrics under mAP@10 (over those retrieved), mAP@10_all, R@k, hit@k, median_rank, ... ."""
        return summarise(self.per_query, self.items)

    def chance(self) -> dict[str, float]:
        """`summary` of a constant scorer on the same queries and pool."""
        groups = chance_groups(self.items, self.groups.total)
        return summarise(per_query(groups, ks=self.ks, map_at=self.map_at), self.items)


def retrieval_metrics(
    query_embeddings: Tensor,
    item_embeddings: Tensor,
    relevant_query: Indices,
    relevant_item: Indices,
    *,
    ks: Sequence[int] = (1, 5, 10),
    map_at: int = 10,
    topk: int = 10,
    block_elements: int = BLOCK_ELEMENTS,
) -> RankingResult:
    """Rank all items (N, D) for each query (Q, D) by their product, and judge the ranking by the relevant pairs (P,).

    Arguments and errors are those of `relevance.ranks.count_ranks`.

    >>> import torch
    >>> captions, clips = torch.eye(4)[[0, 1, 1, 3]], torch.eye(4)[:3]
    >>> summary = retrieval_metrics(captions, clips, np.arange(4), np.array([0, 1, 2, 2])).summary()
    >>> summary["R@1"], summary["median_rank"], summary["tie_rate"]  # the third ties for 2nd, the last for 1st
    (0.5833333333333334, 1.5, 0.5)
    """
    counts = count_ranks(
        query_embeddings, item_embeddings, relevant_query, relevant_item, topk=topk, block_elements=block_elements
    )
    return RankingResult.of(counts, ks=ks, map_at=map_at)
