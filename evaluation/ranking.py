"""One ranking: from scores to ranks, metrics and the best items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from evaluation.metrics import KS, mean_of_known, per_query, summarise, summary_name
from evaluation.ranks import BLOCK_ELEMENTS, Indices, RankCounts, count_ranks
from evaluation.scores import Scores
from evaluation.ties import Floats, Ints, TieGroups, chance_groups


@dataclass(frozen=True)
class RankingResult:
    """How well one method ranks N items for Q queries.

    Attributes:
        groups: the places of all relevant items.
        items: the size N of the pool.
        topk_items: (Q, topk) int64, the best items, best first.
        topk_scores: (Q, topk) float32.
        ks: cut-offs of R@k and hit@k.
        map_at: cut-off of mAP.
        further: other metrics (Q,) float64: nDCG@10 where graded relevance is known, and those of one's own; NaN for a
            query without a value.
        further_chance: their means for a scorer that ranks at random.
    """

    groups: TieGroups
    items: int
    topk_items: Ints
    topk_scores: npt.NDArray[np.float32]
    ks: tuple[int, ...]
    map_at: int
    further: Mapping[str, Floats] = field(default_factory=dict)
    further_chance: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, counts: RankCounts, *, ks: Sequence[int] = KS, map_at: int = 10) -> RankingResult:
        """The result that the counts of all queries make, on the CPU."""
        return cls(
            groups=counts.groups,
            items=counts.items,
            topk_items=counts.topk_items.cpu().numpy(),
            topk_scores=counts.topk_scores.cpu().numpy(),
            ks=tuple(ks),
            map_at=map_at,
        )

    @cached_property
    def per_query(self) -> dict[str, Floats]:
        """Each metric as (Q,) float64, under the names of `per_query`, then the further ones: columns of a table."""
        return {**self._binary, **self.further}

    def with_further(self, values: Mapping[str, Floats], by_chance: Mapping[str, float]) -> RankingResult:
        """The same with more metrics (Q,), and their means by chance."""
        return replace(self, further={**self.further, **values}, further_chance={**self.further_chance, **by_chance})

    def summary(self) -> dict[str, float]:
        """Mean metrics under mAP@10 (over those retrieved), mAP@10_all, R@k, hit@k, median_rank, ..., nDCG@10."""
        further = {summary_name(name): mean_of_known(values) for name, values in self.further.items()}
        return {**summarise(self._binary, self.items), **further}

    def chance(self) -> dict[str, float]:
        """`summary` of a scorer that ranks at random, for the same queries and pool."""
        groups = chance_groups(self.items, self.groups.total)
        further = {summary_name(name): value for name, value in self.further_chance.items()}
        return {**summarise(per_query(groups, ks=self.ks, map_at=self.map_at), self.items), **further}

    @cached_property
    def _binary(self) -> dict[str, Floats]:
        return per_query(self.groups, ks=self.ks, map_at=self.map_at)


def retrieval_metrics(
    scores: Scores,
    relevant_query: Indices,
    relevant_item: Indices,
    *,
    ks: Sequence[int] = KS,
    map_at: int = 10,
    topk: int = 10,
    block_elements: int = BLOCK_ELEMENTS,
) -> RankingResult:
    """Rank all N items for each of Q queries by their scores, and evaluate the ranking by the relevant pairs (P,).

    Arguments and errors are those of `evaluation.ranks.count_ranks`.

    >>> import torch
    >>> from evaluation.scores import EmbeddingScores
    >>> scores = EmbeddingScores(torch.eye(4)[[0, 1, 1, 3]], torch.eye(4)[:3])  # of four captions and three clips
    >>> summary = retrieval_metrics(scores, np.arange(4), np.array([0, 1, 2, 2])).summary()
    >>> summary["R@1"], summary["median_rank"], summary["tie_rate"]  # the third ties for 2nd, the last for 1st
    (0.5833333333333334, 1.5, 0.5)
    """
    counts = count_ranks(scores, relevant_query, relevant_item, topk=topk, block_elements=block_elements)
    return RankingResult.of(counts, ks=ks, map_at=map_at)
