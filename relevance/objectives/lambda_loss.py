"""LambdaLoss: pairs of items, weighed by what they add to NDCG."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import Directions, ScoreLoss
from relevance.objectives.pairs_of_items import differences, discounts, gains, ideal_dcg, ordered_pairs


def lambda_loss(
    logits: Tensor, relevance: Tensor, mu: float | None, top: int | None, sharpness: float | None
) -> Tensor:
    """The mean over queries of sum_{g_i > g_j} w_ij log2(1 + e^{-(l_i - l_j)}), a scalar.

    With D the discounts by rank, G the gains over the ideal DCG, and d the distance of two items' present ranks r,
    w_ij = |G_i - G_j| |D(d) - D(d + 1)| (NDCG-Loss2), or mu times this plus |G_i - G_j| |D(r_i) - D(r_j)|
    (NDCG-Loss2++).
    Takes memory for Q N^2 numbers.

    Args:
        logits: (Q, N) s / tau.
        relevance: (Q, N).
        mu: None: NDCG-Loss2.
        top: only pairs of items in the first places count, and NDCG is that of these places; None: all N.
        sharpness: of gains.
    """
    logits, order = logits.sort(dim=1, descending=True, stable=True)  # places from here on
    relevance = relevance.gather(1, order)
    n = logits.shape[1]
    gain = gains(relevance, sharpness)
    gain = gain / ideal_dcg(gain, top).clamp_min(1e-10)
    by_rank = discounts(n + 1, logits)  # (N + 1,)
    apart = (torch.arange(n, device=logits.device)[:, None] - torch.arange(n, device=logits.device)).abs()  # (N, N)
    weight = (by_rank[(apart - 1).clamp_min(0)] - by_rank[apart]).abs()
    if mu is not None:
        weight = mu * weight + (by_rank[:n, None] - by_rank[None, :n]).abs()
    losses = weight * differences(gain).abs() * F.softplus(-differences(logits)) / math.log(2)
    losses = losses.masked_fill(~ordered_pairs(relevance), 0)  # (Q, N, N)
    return losses[:, :top, :top].sum((1, 2)).mean()


class LambdaLoss(ScoreLoss):
    """NDCG-Loss2++: pairs of items, weighed by how much their exchange changes a bound of NDCG.

    Args:
        direction: one, or the mean of both.
        tau: temperature of scores. Far below 0.05 only pairs in the wrong order count; near 1 cosines are too flat.
        mu: weight of the bound beside LambdaRank's weight; null: the bound alone (NDCG-Loss2).
        top: only the first places count; null: all.
        sharpness: gain 2^(k g) - 1; null: g itself. With g <= .86 and k = 1 the two are almost the same.
        learn_tau: train tau, in the log.

    Relations: `RankNet` weighs all pairs alike. `ApproxNDCG` and `NeuralNDCG` make NDCG itself smooth. Here ranks are
    those of the scores, without a gradient. Needs two levels of relevance; best with graded relevance.

    Source: allRank (Pobrotyn et al. 2020), with whose values and gradients it agrees; not compared with the paper.
    """

    citation = 'Wang et al. 2018, "The LambdaLoss framework for ranking metric optimization"'
    bibtex = (
        "@inproceedings{wang2018lambdaloss, title={The LambdaLoss framework for ranking metric optimization}, "
        "author={Wang, Xuanhui and Li, Cheng and Golbandi, Nadav and Bendersky, Michael and Najork, Marc}, "
        "booktitle={International Conference on Information and Knowledge Management}, year={2018}}"
    )
    needs_levels = True

    def __init__(
        self,
        direction: Directions = "both",
        tau: float = 0.05,
        mu: float | None = 10.0,
        top: int | None = None,
        sharpness: float | None = 1.0,
        learn_tau: bool = False,
    ) -> None:
        super().__init__(direction, tau, learn_tau)
        check_numbers(RelevanceError, "LambdaLoss", 0, 1e6, mu=mu)
        check_numbers(RelevanceError, "LambdaLoss", 1, top=top)
        check_numbers(RelevanceError, "LambdaLoss", 1e-3, 100, sharpness=sharpness)
        self.mu, self.top, self.sharpness = mu, top, sharpness

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return lambda_loss(scores, relevance, self.mu, self.top, self.sharpness)
