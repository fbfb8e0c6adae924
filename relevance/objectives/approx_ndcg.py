"""ApproxNDCG: NDCG with smooth ranks."""

import torch
from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import Directions, ScoreLoss
from relevance.objectives.pairs_of_items import differences, gains, ideal_dcg, mean_loss


def smooth_ranks(logits: Tensor) -> Tensor:
    """Ranks (Q, N) of items, 1 the first: 1 + sum_{j != i} sigmoid(l_j - l_i) of logits (Q, N)."""
    return 0.5 + torch.sigmoid(-differences(logits)).sum(2)  # an item's sigmoid with itself is 0.5


def approx_ndcg_loss(logits: Tensor, relevance: Tensor, sharpness: float | None) -> Tensor:
    """1 less the mean over queries of NDCG at smooth ranks, a scalar. Takes memory for Q N^2 numbers.

    Args:
        logits: (Q, N) s / tau.
        relevance: (Q, N).
        sharpness: of gains.
    """
    gain = gains(relevance, sharpness)
    ideal = ideal_dcg(gain)  # (Q, 1)
    dcg = (gain / torch.log2(1 + smooth_ranks(logits))).sum(1)
    return mean_loss(dcg / ideal[:, 0].clamp_min(1e-10), ideal[:, 0] > 0)


class ApproxNDCG(ScoreLoss):
    """1 - NDCG, the rank of an item being 1 + sum_j sigmoid((s_j - s_i) / tau).

    Args:
        direction: one, or the mean of both.
        tau: temperature of scores, 1 / alpha of the paper. Far below 0.05 ranks are steps and have no gradient; near 1
            all items have the same rank. At 0.01 it is NDCG almost exactly.
        sharpness: gain 2^(k g) - 1; null: g itself.
        learn_tau: train tau, in the log.

    Relations: `NeuralNDCG` makes the order smooth instead of the ranks, at a higher price; `SmoothAP` is the same idea
    for average precision; `LambdaLoss` has a gradient where this one has none, far from the right order.

    Source: section 4 of the paper.
    """

    citation = (
        'Qin et al. 2010, "A general approximation framework for direct optimization of information retrieval measures"'
    )
    bibtex = (
        "@article{qin2010general, title={A general approximation framework for direct optimization of information "
        "retrieval measures}, author={Qin, Tao and Liu, Tie-Yan and Li, Hang}, journal={Information Retrieval}, "
        "year={2010}}"
    )
    needs_levels = True

    def __init__(
        self,
        direction: Directions = "both",
        tau: float = 0.05,
        sharpness: float | None = 1.0,
        learn_tau: bool = False,
    ) -> None:
        super().__init__(direction, tau, learn_tau)
        check_numbers(RelevanceError, "ApproxNDCG", 1e-3, 100, sharpness=sharpness)
        self.sharpness = sharpness

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return approx_ndcg_loss(scores, relevance, self.sharpness)
