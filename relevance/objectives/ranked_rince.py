"""Ranking InfoNCE: one contrastive loss for each level of relevance."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import Directions, ScoreLoss, most_relevant
from relevance.objectives.hard_negatives import NOTHING

Variant = Literal["in", "out", "out_in"]


def ranked_rince_loss(
    scores: Tensor, relevance: Tensor, thresholds: Sequence[float], taus: Sequence[float], variant: Variant
) -> Tensor:
    """The mean over queries and over ranks of l_r, a scalar; ranks without items are left out.

    The items P_r of rank r have a relevance from thresholds[r] on and below that of the rank before; the most relevant
    items are in rank 0 or in that of their relevance. Denominators hold P_r and all below; higher ranks leave them:

        in:  l_r = -log [sum_{p in P_r} e^{s_p / t_r} / sum_{j in P_r and below} e^{s_j / t_r}]
        out: l_r = -mean_{p in P_r} log [e^{s_p / t_r} / sum_{j in P_r and below} e^{s_j / t_r}]

    Args:
        scores: (Q, N) cosine similarities.
        relevance: (Q, N).
        thresholds: falling; one for each rank.
        taus: temperature t_r of each rank.
        variant: "in", "out", or "out_in", which is "out" for the first rank and "in" for the others.
    """
    rank = sum((relevance < threshold).long() for threshold in thresholds)  # (Q, N), the number of ranks: a negative
    assert isinstance(rank, Tensor)
    total, count = scores.new_zeros(len(scores)), scores.new_zeros(len(scores))  # (Q,)
    for r, tau in enumerate(taus):
        positive = rank == r
        logits = scores / tau
        below = logits.masked_fill(rank < r, NOTHING).logsumexp(1)  # (Q,)
        if variant == "out" or (variant == "out_in" and r == 0):
            numerator = logits.masked_fill(~positive, 0).sum(1) / positive.sum(1).clamp_min(1)
        else:
            numerator = logits.masked_fill(~positive, NOTHING).logsumexp(1)
        there = positive.any(1)
        total = total + torch.where(there, below - numerator, 0.0)
        count = count + there
    return (total / count.clamp_min(1)).mean()


class RankedRINCE(ScoreLoss):
    """RINCE: items of a higher level of relevance are to score higher than all of lower levels.

    Args:
        direction: one, or the mean of both.
        thresholds: of relevance, falling: between two of them is one level, below the last are negatives. The defaults
            are, with the logistic scoring function, the caption's own words (h = 1), h = .8 and h = .5. For binary
            relevance give [0.5].
        tau_min: temperature of the first level.
        tau_max: of relevance 0; a level of relevance g has tau_min + (1 - g) (tau_max - tau_min). As in an adopter's
            code .1 and .2. Far below .05 the best scored items alone count.
        variant: "in" asks that a level's items together win, "out" that each does, "out_in" the latter of the first
            level only.

    Raises:
        RelevanceError: thresholds that do not fall, or temperatures that are not positive.

    Relations: `ListNet` takes relevance as it is; here only its level counts, which suits noisy estimates. With one
    level and one positive it is `InfoNCE`. `LambdaLoss` compares single pairs of items.

    Source: the paper's equations for in, out and out-in; the mean over levels, and temperatures by level.
    """

    citation = (
        'Hoffmann et al. 2022, "Ranking info noise contrastive estimation: boosting contrastive learning via ranked '
        'positives"'
    )
    bibtex = (
        "@inproceedings{hoffmann2022ranking, title={Ranking info noise contrastive estimation: boosting contrastive "
        "learning via ranked positives}, author={Hoffmann, David T. and others}, "
        "booktitle={AAAI Conference on Artificial Intelligence}, year={2022}}"
    )

    def __init__(
        self,
        direction: Directions = "both",
        thresholds: Sequence[float] = (0.86, 0.72, 0.39),
        tau_min: float = 0.1,
        tau_max: float = 0.2,
        variant: Variant = "out_in",
    ) -> None:
        super().__init__(direction)
        check_numbers(RelevanceError, "RankedRINCE", 1e-3, 1e3, tau_min=tau_min, tau_max=tau_max)
        thresholds = tuple(thresholds)
        if not thresholds or not all(1 >= a > b > 0 for a, b in zip(thresholds, (*thresholds[1:], 1e-9), strict=True)):
            raise RelevanceError(
                f"RankedRINCE: thresholds are {list(thresholds)}; give falling numbers between 1 and 0, one for each "
                "level of relevance"
            )
        self.thresholds, self.variant = thresholds, variant
        levels = (1.0, *thresholds[1:])  # the first level is that of the pair itself
        self.taus = [tau_min + (1 - level) * (tau_max - tau_min) for level in levels]

    def check(self, relevance: Tensor) -> None:
        """Like `Objective.check`; refuses relevance that has nothing in any level."""
        super().check(relevance)
        if not (relevance[most_relevant(relevance)] >= self.thresholds[-1]).any():
            raise RelevanceError(
                f"RankedRINCE: no item is as relevant as the lowest of its thresholds ({self.thresholds[-1]}); lower "
                "them"
            )

    def values(self) -> dict[str, float | Tensor]:
        """Nothing: temperatures are fixed."""
        return {}

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return ranked_rince_loss(scores, relevance, self.thresholds, self.taus, self.variant)
