"""The sigmoid losses: each pair for itself is relevant or not."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import Directions, ScoreLoss
from relevance.objectives.relevance_checks import check_binary


def sigmoid_loss(logits: Tensor, relevance: Tensor) -> Tensor:
    """The mean over queries of -sum_j [g_ij log sigmoid(l_ij) + (1 - g_ij) log sigmoid(-l_ij)], a scalar.

    Args:
        logits: (Q, N) t s + b.
        relevance: (Q, N) in [0, 1]. With binary relevance this is SigLIP's -sum_j log sigmoid(z_ij l_ij), z = 2 g - 1.
    """
    return F.binary_cross_entropy_with_logits(logits, relevance, reduction="none").sum(1).mean()


class SoftSigLIP(ScoreLoss):
    """The cross-entropy of graded relevance g and sigmoid(t s + b), pair by pair, summed over items.

    It is least where sigmoid(t s + b) = g, so scores say how relevant an item is, not only which one is more relevant.

    Args:
        direction: makes no difference where relevance is symmetric.
        scale: t. Far above 10 only pairs near the threshold -b / t count; far below it all pairs look alike.
        bias: b. Most pairs of a batch are irrelevant, so the loss begins with a large gradient that pushes all scores
            down unless sigmoid(b) is about the mean relevance: -10 for binary relevance, as published; for learned
            relevance, whose mean is about .3, rather 0.
        learn: train both, t in the log.

    Relations: take `SigLIP` for binary relevance, `ListNet` where only the order of a query's items matters. Nothing is
    normalised over a batch, so a small batch costs less than with `InfoNCE`.

    Source: the loss of `SigLIP` with g in place of its labels.
    """

    citation = 'Zhai et al. 2023, "Sigmoid loss for language image pre-training"'
    bibtex = (
        "@inproceedings{zhai2023sigmoid, title={Sigmoid loss for language image pre-training}, "
        "author={Zhai, Xiaohua and Mustafa, Basil and Kolesnikov, Alexander and Beyer, Lucas}, "
        "booktitle={International Conference on Computer Vision}, year={2023}}"
    )
    has_tau: ClassVar[bool] = False

    def __init__(
        self, direction: Directions = "text_to_audio", scale: float = 10.0, bias: float = 0.0, learn: bool = True
    ) -> None:
        super().__init__(direction)
        check_numbers(RelevanceError, type(self).__name__, 1e-3, 1e3, scale=scale)
        check_numbers(RelevanceError, type(self).__name__, -1e3, 1e3, bias=bias)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)), requires_grad=learn)
        self.bias = nn.Parameter(torch.tensor(float(bias)), requires_grad=learn)

    def begin_at(self, tau: float | None) -> None:
        """Let a trained scale begin at 1 / tau of a pretrained model, where there is one."""
        if self.log_scale.requires_grad and tau is not None:
            self.log_scale.data.fill_(-math.log(tau))

    def values(self) -> dict[str, float | Tensor]:
        """Scale and bias."""
        return {"scale": self.log_scale.exp(), "bias": self.bias}

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return sigmoid_loss(self.log_scale.exp() * scores + self.bias, relevance)


class SigLIP(SoftSigLIP):
    """-1/B sum_ij log sigmoid(z_ij (t s_ij + b)), z = 1 for relevant pairs and -1 for others: binary relevance.

    Args:
        direction: makes no difference, since the sum is over all pairs.
        scale: t; begins at 10 in the paper.
        bias: b; begins at -10 in the paper, since almost all pairs of a large batch are irrelevant.
        learn: train both, t in the log.

    Relations: take `SoftSigLIP` for graded relevance. `InfoNCE` compares the items of a query; here each pair stands
    for itself, so batches may be small.

    Source: equation and algorithm 1 of the paper, seen in public reimplementations of it.
    """

    citation, bibtex = SoftSigLIP.citation, SoftSigLIP.bibtex

    def __init__(
        self, direction: Directions = "text_to_audio", scale: float = 10.0, bias: float = -10.0, learn: bool = True
    ) -> None:
        super().__init__(direction, scale, bias, learn)

    def check(self, relevance: Tensor) -> None:
        """Like `Objective.check`; refuses graded relevance."""
        super().check(relevance)
        check_binary(relevance, "SigLIP", "SoftSigLIP")
