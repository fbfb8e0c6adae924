"""RankNet: the logistic loss of pairs of items."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from relevance.objectives.base import Directions, ScoreLoss
from relevance.objectives.pairs_of_items import differences, ordered_pairs

Weighting = Literal["equal", "difference", "squares"]


def ranknet_loss(logits: Tensor, relevance: Tensor, weighting: Weighting = "equal") -> Tensor:
    """The mean over queries of the mean over pairs g_i > g_j of w_ij log(1 + e^{-(l_i - l_j)}), a scalar.

    A query for which all items are equally relevant counts as 0. Takes memory for Q N^2 numbers.

    Args:
        logits: (Q, N) s / tau.
        relevance: (Q, N).
        weighting: w_ij is 1, or g_i - g_j ("difference"), or g_i^2 - g_j^2 ("squares").
    """
    pairs = ordered_pairs(relevance)  # (Q, N, N)
    losses = F.softplus(-differences(logits))
    if weighting != "equal":
        losses = losses * differences(relevance if weighting == "difference" else relevance.square())
    return (losses.masked_fill(~pairs, 0).sum((1, 2)) / pairs.sum((1, 2)).clamp_min(1)).mean()


class RankNet(ScoreLoss):
    """Each pair of a query's items of which one is more relevant: how likely the scores say so.

    Args:
        direction: one, or the mean of both.
        tau: temperature of scores. Far below 0.05 the loss is a hinge without margin; near 1 cosines cannot make it
            small.
        weighting: "equal"; or "difference" and "squares", so that pairs of nearly equal relevance count little.
        learn_tau: train tau, in the log.

    Relations: `LambdaLoss` also weighs a pair by what it adds to NDCG, so that the top of the ranking counts most; here
    it is all pairs alike. `MaxMargin` compares the most relevant items with the others alone.

    Source: allRank (Pobrotyn et al. 2020), with whose values and gradients it agrees; not compared with the paper.
    """

    citation = 'Burges et al. 2005, "Learning to rank using gradient descent"'
    bibtex = (
        "@inproceedings{burges2005learning, title={Learning to rank using gradient descent}, "
        "author={Burges, Chris and others}, booktitle={International Conference on Machine Learning}, year={2005}}"
    )
    needs_levels = True

    def __init__(
        self,
        direction: Directions = "both",
        tau: float = 0.05,
        weighting: Weighting = "equal",
        learn_tau: bool = False,
    ) -> None:
        super().__init__(direction, tau, learn_tau)
        self.weighting: Weighting = weighting

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return ranknet_loss(scores, relevance, self.weighting)
