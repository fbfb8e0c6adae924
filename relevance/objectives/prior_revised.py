"""The prior matrix revised loss, which is the dual softmax in training."""

from typing import ClassVar

import torch
from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.base import IGNORED
from relevance.objectives.base import Directions, ScoreLoss, target_distribution
from relevance.objectives.target_checks import check_targets


def revised_scores(scores: Tensor, prior_scale: float) -> Tensor:
    """s_ij Q softmax_i(c s_ij), (Q, N), of scores (Q, N): each item prefers the queries that score it highest.

    The factor Q keeps the scale: with prior scale 0 scores stay as they are.

    >>> revised_scores(torch.tensor([[0.9, 0.8], [0.1, 0.6]]), 0)
    tensor([[0.9000, 0.8000],
            [0.1000, 0.6000]])
    """
    return scores * len(scores) * torch.softmax(prior_scale * scores, dim=0)


class PriorRevised(ScoreLoss):
    """PMR: InfoNCE on scores that are multiplied by the softmax over the other axis. Needs the whole batch's scores.

    Args:
        direction: one, or the mean of both.
        tau: temperature of the revised scores.
        prior_scale: c of the softmax over queries; 0 is `InfoNCE`. CAMoE's public code amounts to c = 100 / 1000 of
            cosines, which is near 0; far above 10 an item keeps a single query, and others have no gradient.
        omega: temperature of the target for graded relevance; null divides rows by their sum.
        learn_tau: train tau, in the log.

    The product is published so, although a score below 0 falls where its prior rises.

    Relations: take it where some items are the best match of many queries (hubs). `OptimalTransport` normalises both
    axes in full. `InfoNCE` needs only the scores of a process' own queries.

    Source: the formula of CAMoE's dual softmax loss as in public code, Cheng et al. 2021, arXiv 2109.04290; that PMR of
    Xin et al. is the same in both directions is from memory.
    """

    citation = (
        'Xin et al. 2023, "Improving text-audio retrieval by text-aware attention pooling and prior matrix revised '
        'loss"'
    )
    bibtex = (
        "@inproceedings{xin2023improving, title={Improving text-audio retrieval by text-aware attention pooling and "
        "prior matrix revised loss}, author={Xin, Yifei and Yang, Dongchao and Zou, Yuexian}, "
        "booktitle={International Conference on Acoustics, Speech and Signal Processing}, year={2023}}"
    )
    whole_batch: ClassVar[bool] = True
    has_tau: ClassVar[bool] = False  # `loss` divides by it, after the revision

    def __init__(
        self,
        direction: Directions = "both",
        tau: float = 0.05,
        prior_scale: float = 10.0,
        omega: float | None = None,
        learn_tau: bool = False,
    ) -> None:
        super().__init__(direction, tau, learn_tau)
        check_numbers(RelevanceError, "PriorRevised", 0, 1e4, prior_scale=prior_scale)
        check_numbers(RelevanceError, "PriorRevised", 1e-6, 1e6, omega=omega)
        self.prior_scale, self.omega = prior_scale, omega

    def values(self) -> dict[str, float | Tensor]:
        """Like `Objective.values`."""
        return {"tau": self.tau}

    def check(self, relevance: Tensor) -> None:
        """Like `Objective.check`; refuses pairs that are to be ignored."""
        super().check(relevance)
        if (relevance == IGNORED).any():
            raise RelevanceError("PriorRevised multiplies scores, so no pair can be ignored; take InfoNCE")
        check_targets(relevance, self.omega)

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`, of a whole batch's scores."""
        log_prediction = (revised_scores(scores, self.prior_scale) / self.tau).log_softmax(1)
        return -(target_distribution(relevance, self.omega) * log_prediction).sum(1).mean()
