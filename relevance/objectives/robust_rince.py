"""Robust InfoNCE: a contrastive loss for noisy positives."""

import math

import torch
from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import Directions, ScoreLoss, most_relevant
from relevance.objectives.hard_negatives import NOTHING


def robust_rince_loss(logits: Tensor, relevance: Tensor, q: float, weight: float) -> Tensor:
    """The mean over queries and their positives p of -e^{q l_p} / q + (w (e^{l_p} + sum_k e^{l_k}))^q / q, a scalar.

    Negatives k are all items that are less relevant than the most relevant ones, the positives.

    Args:
        logits: (Q, N) s / tau.
        relevance: (Q, N).
        q: in (0, 1].
        weight: w, of the denominator.
    """
    positive = most_relevant(relevance)
    negatives = logits.masked_fill(positive, NOTHING).logsumexp(1, keepdim=True)  # (Q, 1)
    whole = math.log(weight) + torch.logaddexp(logits, negatives)  # (Q, N)
    losses = (torch.expm1(q * whole) - torch.expm1(q * logits)) / q  # expm1: exact as q approaches 0
    return (losses.masked_fill(~positive, 0).sum(1) / positive.sum(1)).mean()


class RobustRINCE(ScoreLoss):
    """RINCE: between InfoNCE (q near 0) and a symmetric loss (q = 1) on which a share of wrong positives has no effect.

    Positives are the most relevant items, so graded relevance is taken as binary.

    Args:
        direction: one, or the mean of both.
        tau: temperature of scores. The gradient grows with e^{q / tau}, so raise it for large q.
        q: in (0, 1]; 0.1 in the authors' code for MoCo. Higher values distrust pairs that score low.
        weight: lambda, of the denominator; 0.01 in the authors' code. Near 1 negatives outweigh the positive.

    Raises:
        RelevanceError: a number out of range, or q / tau above 80, where e^{q / tau} leaves float32.

    Relations: take it instead of `InfoNCE` where captions are wrong, as those made by a language model from tags;
    where they are right and other recordings fit too, take `ListNet`.

    Source: the authors' code, (lambda (e^s+ + sum e^s-))^q; not compared with the paper.
    """

    citation = 'Chuang et al. 2022, "Robust contrastive learning against noisy views"'
    bibtex = (
        "@inproceedings{chuang2022robust, title={Robust contrastive learning against noisy views}, "
        "author={Chuang, Ching-Yao and others}, "
        "booktitle={Conference on Computer Vision and Pattern Recognition}, year={2022}}"
    )

    def __init__(self, direction: Directions = "both", tau: float = 0.05, q: float = 0.1, weight: float = 0.01) -> None:
        super().__init__(direction, tau)
        check_numbers(RelevanceError, "RobustRINCE", 1e-6, 1, q=q, weight=weight)
        if q / tau > 80:
            raise RelevanceError(
                f"RobustRINCE: q / tau is {q / tau:g}, and e^{q / tau:g} is no float32; raise tau or lower q"
            )
        self.q, self.weight = q, weight

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return robust_rince_loss(scores, relevance, self.q, self.weight)
