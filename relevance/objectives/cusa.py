"""CUSA: cross-modal and uni-modal soft-label alignment."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import Directions, ScoreLoss, most_relevant
from relevance.objectives.soft_clip import divergence

SOFT_TAUS = (0.1, 1.0)
"""Range of the temperatures of soft-label alignment, as in the authors' code."""


class CUSA(ScoreLoss):
    """InfoNCE + soft KL(softmax(g / omega) || softmax(s / t1)) + own KL(softmax(g / omega) || softmax(u / t2)).

    s are scores of queries for items, u those for others of the queries' own modality, g the relevance: the similarity
    of queries to each other by a frozen model of their modality. t1 and t2 are trained from .45, within .1 and 1.

    Args:
        direction: one, or the mean of both, as in the paper.
        tau: temperature of InfoNCE, whose positives are the most relevant items; .05 in the authors' code.
        omega: temperature of g; 1 in the authors' code, where g is a cosine. Far below .05 the soft labels are one-hot.
        soft: weight of the term between modalities, .1 in the authors' code.
        own: weight of the term within modalities, .5 in the authors' code.
        learn_tau: train tau, in the log.

    Relations: `SoftCLIP` has no term within modalities, and no temperature of its own for soft labels. With weights 0
    it is `InfoNCE`. Give it `ByDirection`, where there are similarities of recordings too; with `CaptionSimilarity`
    alone recordings are as similar as their captions. Needs a matcher with one unit vector of each input, as `Cosine`.

    Source: the authors' code (github.com/lerogo/aaai24_itr_cusa).
    """

    citation = 'Huang et al. 2024, "Cross-modal and uni-modal soft-label alignment for image-text retrieval"'
    bibtex = (
        "@inproceedings{huang2024cross, "
        "title={Cross-modal and uni-modal soft-label alignment for image-text retrieval}, "
        "author={Huang, Hailang and others}, booktitle={AAAI Conference on Artificial Intelligence}, year={2024}}"
    )
    within_modalities: ClassVar[bool] = True
    has_tau: ClassVar[bool] = False  # there are several

    def __init__(
        self,
        direction: Directions = "both",
        tau: float = 0.05,
        omega: float = 1.0,
        soft: float = 0.1,
        own: float = 0.5,
        learn_tau: bool = False,
    ) -> None:
        super().__init__(direction, tau, learn_tau)
        check_numbers(RelevanceError, "CUSA", 0, 1e3, soft=soft, own=own)
        check_numbers(RelevanceError, "CUSA", 1e-6, 1e6, omega=omega)
        self.omega, self.soft, self.own = omega, soft, own
        self.log_soft_taus = nn.Parameter(torch.full((2,), math.log(0.45)))  # t1, t2

    def values(self) -> dict[str, float | Tensor]:
        """The three temperatures."""
        cross, own = self.soft_taus
        return {"tau": self.tau, "soft_tau": cross, "own_tau": own}

    @property
    def soft_taus(self) -> Tensor:
        """t1 and t2, (2,), within their range."""
        return self.log_soft_taus.exp().clamp(*SOFT_TAUS)

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        positive = most_relevant(relevance)
        log_prediction = (scores / self.tau).log_softmax(1)
        hard = -(log_prediction.masked_fill(~positive, 0).sum(1) / positive.sum(1)).mean()
        return hard + self.soft * self.soft_alignment(scores, relevance, self.soft_taus[0])

    def within(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `Objective.within`."""
        with torch.autocast(scores.device.type, enabled=False):
            scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
            return self.own * self.soft_alignment(scores, relevance.detach().to(scores.dtype), self.soft_taus[1])

    def soft_alignment(self, scores: Tensor, relevance: Tensor, tau: Tensor) -> Tensor:
        """KL(softmax(g / omega) || softmax(s / tau)), a scalar."""
        assert self.omega is not None
        return divergence((relevance / self.omega).log_softmax(1), (scores / tau).log_softmax(1))
