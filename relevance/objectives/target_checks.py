"""A look at the first targets of a run."""

import math
import warnings

import torch
from torch import Tensor

from common.errors import RelevanceError
from relevance.objectives.base import target_distribution, target_entropy


def check_targets(relevance: Tensor, omega: float | None) -> None:
    """Look at the first targets of a run and speak up while it is cheap.

    Args:
        relevance: (Q, N), of an objective that compares distributions; for others `check_relevance` is enough.
        omega: temperature of the target, or None.

    Raises:
        RelevanceError: NaN, values outside [0, 1], or a query to which nothing is relevant (with omega=None).
    Warns:
        UserWarning: the targets underflow to one-hot although relevance is graded, or are almost uniform.
    """
    check_relevance(relevance)
    high = float(relevance.max())
    if omega is None and bool((relevance.sum(dim=1) <= 0).any()):
        raise RelevanceError(
            "a query has no relevant item in its batch, so its target cannot be normalised: lower the threshold of "
            "the scoring function, or set omega (softmax targets)"
        )
    target = target_distribution(relevance, omega)
    n = target.shape[1]
    graded = bool(((relevance > 0.01) & (relevance < 0.99 * high)).any())
    off_peak = 1 - target.amax(dim=1)
    if graded and n > 1 and float(off_peak.max()) < 1e-6:
        warnings.warn(
            f"targets underflow: relevance is graded, but every target is one-hot with omega={omega}; raise omega to "
            "let partly relevant items count",
            stacklevel=2,
        )
    if n > 1 and float(target_entropy(target)) > 0.98 * math.log(n):
        warnings.warn(
            f"targets are almost uniform over the {n} items of a batch (omega={omega}): there is little to learn from "
            "them; lower omega or use a steeper scoring function",
            stacklevel=2,
        )


def check_relevance(relevance: Tensor) -> None:
    """Whether relevance (Q, N) is a number in [0, 1] everywhere.

    Raises:
        RelevanceError: it is not.
    """
    if not torch.isfinite(relevance).all():
        raise RelevanceError(
            "relevance has NaN or infinite values: look at the caption embeddings (an empty caption, a broken model "
            "folder) and at the scoring function's constants"
        )
    low, high = float(relevance.min()), float(relevance.max())
    if low < -1e-4 or high > 1 + 1e-4:
        raise RelevanceError(f"relevance must be in [0, 1] but spans [{low:.3g}, {high:.3g}]; fix the scoring")
