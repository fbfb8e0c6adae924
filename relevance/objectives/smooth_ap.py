"""SmoothAP: average precision with smooth ranks."""

import torch
from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import Directions, ScoreLoss, most_relevant
from relevance.objectives.pairs_of_items import differences, mean_loss


def smooth_ap_loss(logits: Tensor, positive: Tensor) -> Tensor:
    """1 less the mean over queries of average precision at smooth ranks, a scalar. Memory for Q N^2 numbers.

    AP = mean over positives i of (1 + sum_{j positive} d_ij) / (1 + sum_j d_ij), d_ij = sigmoid(l_j - l_i), j not i.

    Args:
        logits: (Q, N) s / tau.
        positive: (Q, N) bool; queries without positives are left out.
    """
    ahead = torch.sigmoid(-differences(logits))  # (Q, N, N): item j (last) before item i
    ranks = 0.5 + ahead.sum(2)  # an item's sigmoid with itself is 0.5
    among = 0.5 + (ahead * positive[:, None, :]).sum(2)  # for positives i, whose own 0.5 is among them
    precision = (among / ranks).masked_fill(~positive, 0).sum(1) / positive.sum(1).clamp_min(1)
    return mean_loss(precision, positive.any(1))


class SmoothAP(ScoreLoss):
    """1 - average precision, an item being before another to the degree sigmoid((s_j - s_i) / tau).

    Args:
        direction: one, or the mean of both.
        tau: temperature of scores, 0.01 in the paper. Far below, ranks are steps and have no gradient; near 1 all items
            have the same rank.
        relevant_from: average precision needs binary relevance: items from this relevance on are positives. Null: the
            most relevant ones alone.

    Relations: `ApproxNDCG` takes graded relevance as it is. `InfoNCE` has a gradient as long as a positive does not
    have all of the probability; here none is left once it is first.

    Source: written from memory of the paper, not compared with it; the mean over positives of a query.
    """

    citation = 'Brown et al. 2020, "Smooth-AP: smoothing the path towards large-scale image retrieval"'
    bibtex = (
        "@inproceedings{brown2020smooth, title={Smooth-AP: smoothing the path towards large-scale image retrieval}, "
        "author={Brown, Andrew and Xie, Weidi and Kalogeiton, Vicky and Zisserman, Andrew}, "
        "booktitle={European Conference on Computer Vision}, year={2020}}"
    )

    def __init__(self, direction: Directions = "both", tau: float = 0.01, relevant_from: float | None = None) -> None:
        super().__init__(direction, tau)
        check_numbers(RelevanceError, "SmoothAP", 1e-6, 1, relevant_from=relevant_from)
        self.relevant_from = relevant_from

    def check(self, relevance: Tensor) -> None:
        """Like `Objective.check`; refuses relevance of which nothing reaches `relevant_from`."""
        super().check(relevance)
        if not self.positives(relevance).any():
            raise RelevanceError(
                f"SmoothAP: no item has a relevance from relevant_from = {self.relevant_from} on; lower it, or set it "
                "to null"
            )

    def positives(self, relevance: Tensor) -> Tensor:
        """Which items (Q, N) bool count as relevant."""
        return most_relevant(relevance) if self.relevant_from is None else relevance >= self.relevant_from

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return smooth_ap_loss(scores, self.positives(relevance))
