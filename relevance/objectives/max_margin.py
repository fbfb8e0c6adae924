"""The max-margin ranking loss."""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import Directions, Objective, most_relevant


def hinges(scores: Tensor, relevance: Tensor, margin: float, graded: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """For one positive of each query after the other: its scores (Q, 1), and [margin + s - s_p]+ (Q, N) of all items.

    Positives are no negatives: theirs are 0. So are all where a query has no more positives.

    Args:
        scores: (Q, N) float.
        relevance: (Q, N) of the same type.
        margin: by which a positive has to win.
        graded: multiply the margin by g_p - g.
    """
    positive = most_relevant(relevance)
    highest = relevance.amax(dim=1, keepdim=True)  # (Q, 1)
    margins = margin * (highest - relevance) if graded else torch.full_like(relevance, margin)  # (Q, N)
    order = positive.int().argsort(dim=1, descending=True, stable=True)  # (Q, N), positives first
    for place in range(int(positive.sum(1).max())):
        item = order[:, place : place + 1]  # (Q, 1)
        own = scores.gather(1, item)
        hinge = torch.relu(margins + scores - own)
        yield own, hinge.masked_fill(positive | ~positive.gather(1, item), 0)


def max_margin_loss(scores: Tensor, relevance: Tensor, margin: float, graded: bool = False) -> Tensor:
    """The mean over queries of the mean over pairs (positive p, other item n) of [margin + s_n - s_p]+, a scalar.

    A query's positives are its most relevant items, whatever their number and place; a query for which all items are
    equally relevant has no pair, and counts as 0.

    Args:
        scores: (Q, N); gradients flow through them.
        relevance: (Q, N) in [0, 1], seen as constant.
        margin: by which a positive has to win.
        graded: multiply the margin by g_p - g_n, so that an item that is almost as relevant may score almost as much.

    Source: Oncescu et al. 2021, equation 1. With one positive each, the mean of both directions is the authors' loss
    (`fix_norm`): the mean over all pairs but the diagonal's.
    """
    with torch.autocast(scores.device.type, enabled=False):
        scores, relevance = scores.float(), relevance.detach().float()
        total = scores.new_zeros(len(scores))  # (Q,)
        for _, hinge in hinges(scores, relevance, margin, graded):
            total = total + hinge.sum(1)
        positives = most_relevant(relevance).sum(1)
        pairs = positives * (relevance.shape[1] - positives)  # (Q,)
        return (total / pairs.clamp_min(1)).mean()


class MaxMargin(Objective):
    """The bi-directional max-margin ranking loss of the first audio retrieval systems.

    Args:
        direction: "both" takes the mean of the two, as the paper does.
        margin: by which the most relevant items have to win over the others.
        graded: multiply it by the difference in relevance; for learned relevance. Without it, everything that is less
            relevant than the most relevant item is equally wrong.

    Raises:
        RelevanceError: the margin is not positive.

    Relations: `InfoNCE` weighs hard negatives more; here all that violate the margin count alike. `Triplet` takes one
    negative of each query, or the sum over all.
    """

    citation = 'Oncescu et al. 2021, "Audio retrieval with natural language queries"'
    bibtex = (
        "@inproceedings{oncescu2021audio, title={Audio retrieval with natural language queries}, "
        "author={Oncescu, Andreea-Maria and Koepke, A. Sophia and Henriques, João F. and Akata, Zeynep and "
        "Albanie, Samuel}, booktitle={Interspeech}, year={2021}}"
    )
    is_listwise: ClassVar[bool] = False

    def __init__(self, direction: Directions = "both", margin: float = 0.2, graded: bool = False) -> None:
        super().__init__(direction, tau=1.0, omega=None, learn_tau=False)
        check_numbers(RelevanceError, "MaxMargin", 1e-6, margin=margin)
        self.margin, self.graded = margin, graded

    def forward(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Scalar loss of scores (Q, N) against relevance (Q, N)."""
        return max_margin_loss(scores, relevance, self.margin, self.graded)
