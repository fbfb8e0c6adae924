"""One ranking: from embeddings to ranks, metrics and the best items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from torch import Tensor

from evaluation.metrics import per_query, summarise
from evaluation.ranks import BLOCK_ELEMENTS, Indices, RankCounts, count_ranks
from evaluation.ties import Floats, Ints, TieGroups, chance_groups, tie_groups


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

    Arguments and errors are those of `evaluation.ranks.count_ranks`.

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
