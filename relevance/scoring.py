"""Scoring functions f: from the similarity h of two captions to the relevance g in [0, 1] of their recordings.

Every scorer is a frozen dataclass that maps a tensor of cosines, any shape, float, to relevances of the same shape.

    >>> import torch
    >>> [round(g, 4) for g in Logistic()(torch.tensor([0.0, 0.5, 0.8, 0.9, 1.0])).tolist()]
    [0.0612, 0.3917, 0.7179, 0.8009, 0.8641]
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from common.errors import RelevanceError


class Scoring:
    """Base of the scoring functions: `scoring(h) -> g`, element-wise unless a subclass says otherwise."""

    def __call__(self, similarity: Tensor) -> Tensor:
        """Relevance in [0, 1] of the same shape as `similarity` (cosines in [-1, 1])."""
        raise NotImplementedError


@dataclass(frozen=True)
class Logistic(Scoring):
    """g = 1 / (1 + exp(intercept - slope h)); the constants are a fit to human ratings (Xie et al. 2024, eq. 5)."""

    intercept: float = 2.73
    slope: float = 4.58

    def __call__(self, similarity: Tensor) -> Tensor:
        """Like `Scoring.__call__`."""
        return torch.sigmoid(self.slope * similarity - self.intercept)


@dataclass(frozen=True)
class SteepLogistic(Logistic):
    """g = sigmoid(25 h - 20), close to a soft threshold at h = .8 (code of Xie et al. 2024; used with omega = null)."""

    intercept: float = 20.0
    slope: float = 25.0


@dataclass(frozen=True)
class MinMax(Scoring):
    """g = (h - low) / (high - low), cut to [0, 1] (Xie et al. 2024, compared with the logistic function).

    A bound left out is the smallest (largest) similarity in the matrix at hand, so g then depends on the batch.
    """

    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise RelevanceError(f"MinMax: low ({self.low}) must be below high ({self.high})")

    def __call__(self, similarity: Tensor) -> Tensor:
        """Like `Scoring.__call__`; where all similarities are equal, g is 1."""
        low = similarity.amin() if self.low is None else self.low
        high = similarity.amax() if self.high is None else self.high
        spread = torch.as_tensor(high - low, dtype=similarity.dtype, device=similarity.device)
        # A matrix of one value has no spread; the tiny floor turns 0/0 into "as relevant as anything here".
        return torch.where(spread > 0, (similarity - low) / spread.clamp_min(1e-12), 1.0).clamp(0.0, 1.0)


@dataclass(frozen=True)
class Threshold(Scoring):
    """g = h where h > threshold, else 0 (code of Xie et al. 2024; used with omega = null)."""

    threshold: float = 0.7

    def __call__(self, similarity: Tensor) -> Tensor:
        """Like `Scoring.__call__`."""
        return torch.where(similarity > self.threshold, similarity, 0.0).clamp_min(0.0)


@dataclass(frozen=True)
class Linear(Scoring):
    """g = h, cut to [0, 1]: the similarity taken at its word."""

    def __call__(self, similarity: Tensor) -> Tensor:
        """Like `Scoring.__call__`."""
        return similarity.clamp(0.0, 1.0)
