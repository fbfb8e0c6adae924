"""Objectives: how far the model's distribution Q over items is from the target distribution P.

One formula serves all: the cross-entropy -sum_j P_ij log Q_ij, averaged over queries i. ListNet takes P from graded
relevance, InfoNCE from binary relevance. Everything is computed in float32, whatever autocast does outside.

Shapes: scores (Q, N) are cosine similarities of Q queries with N items; relevance (Q, N) is in [0, 1].
"""

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from common.directions import DIRECTIONS, Direction
from common.errors import RelevanceError

Directions = Literal[Direction, "both"]
"""A direction, or the mean of both."""


def target_distribution(relevance: Tensor, omega: float | None) -> Tensor:
    """P (Q, N) float32: softmax(relevance / omega), or with `omega=None` each row divided by its sum.

    >>> target_distribution(torch.tensor([[0.9, 0.8, 0.0]]), omega=0.05)
    tensor([[8.8080e-01, 1.1920e-01, 1.3415e-08]])
    >>> target_distribution(torch.tensor([[1.0, 0.0, 1.0]]), omega=None)
    tensor([[0.5000, 0.0000, 0.5000]])
    """
    relevance = relevance.float()
    if omega is None:
        return relevance / relevance.sum(dim=1, keepdim=True)
    return torch.softmax(relevance / omega, dim=1)


def listnet_loss(scores: Tensor, relevance: Tensor, tau: float | Tensor, omega: float | None) -> Tensor:
    """ListNet's top-one loss, a scalar: mean over queries of -sum_j P_ij log softmax_j(s_ij / tau).

    Args:
        scores: (Q, N) cosine similarities; gradients flow through them.
        relevance: (Q, N) graded relevance; seen as constant.
        tau: temperature of the prediction Q; a tensor may be trained.
        omega: temperature of the target P; None divides rows by their sum (InfoNCE with binary relevance).

    Source: Cao et al. 2007, "Learning to rank: from pairwise approach to listwise approach"; Xie et al. 2024, eq. 2-4.
    """
    with torch.autocast(scores.device.type, enabled=False):
        log_prediction = torch.log_softmax(scores.float() / tau, dim=1)  # (Q, N)
        target = target_distribution(relevance.detach(), omega)  # (Q, N)
        return -(target * log_prediction).sum(dim=1).mean()


def target_entropy(target: Tensor) -> Tensor:
    """Mean entropy, in nats, of the rows of P (Q, N): 0 for one-hot targets, log N for uniform ones."""
    entropy: Tensor = torch.special.entr(target).sum(dim=1)  # (Q,)
    return entropy.mean()


def mass_off_pair(target: Tensor, query_ids: Tensor, item_ids: Tensor) -> Tensor:
    """Mean mass of the rows of P (Q, N) off the query's own pair: 0 for one-hot targets at the annotated item.

    >>> mass_off_pair(torch.tensor([[0.75, 0.25]]), torch.tensor([7]), torch.tensor([7, 9]))
    tensor(0.2500)
    """
    own = query_ids[:, None] == item_ids[None, :]  # (Q, N)
    off: Tensor = target.masked_fill(own, 0.0).sum(dim=1)  # (Q,)
    return off.mean()


class Objective(nn.Module):
    """Base of the objectives: `objective(scores, relevance) -> loss`, for one direction at a time.

    Attributes:
        directions: the directions the training step has to feed in; the loss is their mean.
        tau: the temperature of the prediction, a float, or a positive trained scalar.
        omega: the temperature of the target, or None.
        citation: where the objective comes from.
        is_listwise: whether it compares distributions over items; else tau and omega mean nothing.
    """

    citation: ClassVar[str] = ""
    is_listwise: ClassVar[bool] = True

    def __init__(
        self, direction: Directions, tau: float = 0.05, omega: float | None = None, learn_tau: bool = False
    ) -> None:
        super().__init__()
        for name, value, allowed in (("tau", tau, "positive"), ("omega", omega, "positive or null")):
            if value is not None and not 1e-6 <= value <= 1e6:  # beyond, float32 has no exponents for it
                raise RelevanceError(f"{name} must be {allowed}, and from 1e-06 to 1e+06, got {value}")
        self.directions: tuple[Direction, ...] = DIRECTIONS if direction == "both" else (direction,)
        self.omega = omega
        # Trained in the log, so that it stays positive.
        self.log_tau = nn.Parameter(torch.tensor(math.log(tau))) if learn_tau else None
        self._tau = tau

    @property
    def tau(self) -> float | Tensor:
        """The temperature of the prediction now."""
        return self._tau if self.log_tau is None else self.log_tau.float().exp()

    def begin_at(self, tau: float | None) -> None:
        """Let a trained temperature begin at that of a pretrained model, where there is one."""
        if self.log_tau is not None and tau is not None:
            self.log_tau.data.fill_(math.log(tau))

    def forward(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Scalar loss of scores (Q, N) against relevance (Q, N)."""
        return listnet_loss(scores, relevance, self.tau, self.omega)
