"""Graded ranking quality: nDCG with tied items at their mean gain.

Jarvelin & Kekalainen 2002, "Cumulated gain-based evaluation of IR techniques"; ties as in McSherry & Najork 2008.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from common.errors import RelevanceError
from evaluation.ranks import score_blocks
from evaluation.scores import Scores


@torch.no_grad()
def ndcg(scores: Tensor, gains: Tensor, k: int = 10) -> Tensor:
    """nDCG (Q,) float64 at k: sum over the first k places p of gain / log2(p+1), over the same sum in ideal order.

    Gains count linearly. Tied items share the mean gain of their group, which is the expectation over their random
    orders, also where the group crosses the cut-off. A query whose gains are all 0 has no ideal order and gets NaN:
    leave it out of the mean (`torch.nanmean`).

    Args:
        scores: (Q, N) floating; the largest ranks first.
        gains: (Q, N), not negative, e.g. graded relevances.
        k: the cut-off; N at most is used.

    Raises:
        RelevanceError: shapes that differ, scores or gains that are NaN or inf, negative gains, k below 1.

    >>> ndcg(torch.tensor([[0.9, 0.5, 0.5]]), torch.tensor([[1.0, 1.0, 0.0]]), k=2)  # second place: gain 0.5
    tensor([0.8066], dtype=torch.float64)
    """
    if k < 1:
        raise RelevanceError(f"the cut-off k is {k}: give at least 1")
    if scores.ndim != 2 or scores.shape != gains.shape or scores.shape[1] == 0:
        raise RelevanceError(f"scores {tuple(scores.shape)} and gains {tuple(gains.shape)}: give both as (Q, N)")
    if not scores.isfinite().all():
        raise RelevanceError("scores hold NaN or inf: look for a diverged model")
    if not gains.isfinite().all() or (gains < 0).any():
        raise RelevanceError("gains hold NaN, inf or negative values: give finite gains >= 0")
    k = min(k, scores.shape[1])
    values, columns = scores.topk(k, dim=1)  # (Q, k)
    gain = gains.gather(1, columns).double()
    # Which items of the last value are among the k is arbitrary: all items of that value lend their mean gain.
    last = scores == values[:, -1:]  # (Q, N)
    mean = torch.where(last, gains, 0).sum(1, dtype=torch.float64) / last.sum(1)
    gain = torch.where(values == values[:, -1:], mean[:, None], gain)
    # The groups above the last one stand wholly among the k.
    group = torch.zeros_like(columns)
    group[:, 1:] = (values[:, 1:] != values[:, :-1]).cumsum(1)
    zeros = torch.zeros_like(gain)
    sums, sizes = zeros.scatter_add(1, group, gain), zeros.scatter_add(1, group, torch.ones_like(gain))
    gain = (sums / sizes.clamp(min=1)).gather(1, group)

    discount = 1 / torch.arange(2, k + 2, dtype=torch.float64, device=scores.device).log2()  # (k,)
    ideal = gains.topk(k, dim=1).values.double()
    return (gain @ discount) / (ideal @ discount)


def ndcg_from_scores(
    scores: Scores, gains_of: Callable[[Tensor], Tensor], k: int = 10, *, block_elements: int = 2**24
) -> Tensor:
    """nDCG (Q,) float64 at k of a ranking by scores of Q queries and N items, in blocks of queries.

    Args:
        scores: of all queries and items.
        gains_of: from query indices (b,) int64 to the gains (b, N) of all items; asked a block at a time.
        k: the cut-off.
        block_elements: scores held at once; gains and comparisons take about as much again.

    Raises:
        RelevanceError: as `evaluation.ranks.score_blocks` and `ndcg`.
    """
    return torch.cat(
        [
            ndcg(block[:, : scores.items], gains_of(torch.arange(rows.start, rows.stop, device=scores.device)), k)
            for rows, block in score_blocks(scores, block_elements=block_elements)
        ]
    )
