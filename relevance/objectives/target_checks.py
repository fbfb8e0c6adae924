"""A look at the first targets of a run."""

import math
import warnings

from torch import Tensor

from common.errors import RelevanceError
from relevance.objectives.base import target_distribution, target_entropy
from relevance.objectives.relevance_checks import check_relevance


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
    if omega is None and bool((relevance.clamp_min(0).sum(dim=1) <= 0).any()):
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
