"""What pairwise objectives and those of NDCG share: pairs of a query's items, gains, discounts."""

import torch
from torch import Tensor

from relevance.objectives.base import SAME


def differences(values: Tensor) -> Tensor:
    """v_i - v_j (Q, N, N) of values (Q, N)."""
    return values[:, :, None] - values[:, None, :]


def ordered_pairs(relevance: Tensor) -> Tensor:
    """Where item i is more relevant than item j: (Q, N, N) bool of relevance (Q, N)."""
    return differences(relevance) > SAME


def gains(relevance: Tensor, sharpness: float | None) -> Tensor:
    """What an item adds to DCG, of any shape: 2^(k g) - 1 with sharpness k, or g itself with None.

    >>> gains(torch.tensor([0.0, 0.5, 1.0]), 2)
    tensor([0., 1., 3.])
    """
    return relevance if sharpness is None else torch.exp2(sharpness * relevance) - 1


def discounts(count: int, like: Tensor) -> Tensor:
    """1 / log2(1 + rank) of the ranks 1 to `count`, (count,) of the type and device of `like`."""
    return 1 / torch.arange(2, count + 2, dtype=like.dtype, device=like.device).log2()


def ideal_dcg(gain: Tensor, top: int | None = None) -> Tensor:
    """The highest DCG, (Q, 1), that an order of items with gains (Q, N) can have in the `top` first places."""
    best = gain.sort(dim=1, descending=True).values[:, :top]
    return (best * discounts(best.shape[1], gain)).sum(1, keepdim=True)


def mean_loss(quality: Tensor, counted: Tensor) -> Tensor:
    """1 less the mean of quality (Q,), a scalar, over those queries that count (Q,) bool; 1 where none does."""
    return 1 - quality.masked_fill(~counted, 0).sum() / counted.sum().clamp_min(1)
