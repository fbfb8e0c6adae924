"""Several kinds of relevance at once."""

import math

import torch
from torch import Tensor

from common.directions import TEXT_TO_AUDIO, Direction
from common.errors import RelevanceError
from relevance.base import Relevance
from relevance.objectives.base import target_distribution
from relevance.objectives.listnet import ListNet
from relevance.targets.composed import Composed


class MixedTargets(Composed):
    """The weighted mean of the targets P of several kinds of relevance, e.g. of a binary and a learned one.

    What it gives is a distribution over the items already, so the objective takes it as it is, with `omega: null`.
    The cross-entropy with it is the weighted mean of the cross-entropies with each target.

    Args:
        parts: the kinds of relevance.
        omegas: temperature of each one's target; null divides its rows by their sum.
        weights: of each, divided by their sum; default: equal.

    Relations: take one of the parts alone unless both help: the mean is no better defined than its worst part. An omega
    far below 0.05 makes a part's target one-hot, one near 1 almost uniform.

    Raises:
        RelevanceError: there are not as many omegas or weights as parts, or a weight is negative, or all are 0, or a
            part leaves pairs out.

    Source: "mixed" targets in the code of Xie et al. 2024 (there the sum, so its gradient is longer by a constant).
    """

    citation, bibtex = ListNet.citation, ListNet.bibtex

    def __init__(
        self,
        parts: list[Relevance],
        omegas: list[float | None],
        weights: list[float] | None = None,
    ) -> None:
        super().__init__(parts)
        weights = [1.0] * len(parts) if weights is None else weights
        if not parts or len(omegas) != len(parts) or len(weights) != len(parts):
            raise RelevanceError(
                f"MixedTargets: {len(parts)} parts, {len(omegas)} omegas and {len(weights)} weights; give one omega "
                "(and one weight) for each part"
            )
        if not all(0 <= weight < math.inf for weight in weights) or sum(weights) <= 0:
            raise RelevanceError(f"MixedTargets: weights are {weights}; give none below 0 and one above")
        if not all(omega is None or 1e-6 <= omega <= 1e6 for omega in omegas):
            raise RelevanceError(f"MixedTargets: omegas are {omegas}; each must be positive (1e-06 to 1e+06) or null")
        if any(part.ignores for part in parts):
            raise RelevanceError("MixedTargets: a part leaves pairs out, and the mean cannot; leave FalseNegatives out")
        self.omegas = omegas
        self.weights = [weight / sum(weights) for weight in weights]

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction = TEXT_TO_AUDIO) -> Tensor:
        """P (Q, N) float32; rows sum to 1."""
        targets = [
            weight * target_distribution(part(query_ids, item_ids, direction), omega)
            for part, omega, weight in zip(self.parts, self.omegas, self.weights, strict=True)
        ]
        return torch.stack(targets).sum(dim=0)
