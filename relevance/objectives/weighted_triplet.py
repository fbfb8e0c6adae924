"""The weighted triplet loss: polynomials of the positive's and the hardest negative's score."""

from typing import ClassVar

import torch
from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import FAR_BELOW, Directions, ScoreLoss, most_relevant


def weighted_triplet_loss(scores: Tensor, relevance: Tensor, margin: float) -> Tensor:
    """The mean over queries and positives p of [.2 s_p^2 - .7 s_p + .5]+ + [.9 s_n^2 - .4 s_n + .03]+, a scalar.

    n is the query's negative of the highest score. A positive counts only where s_n + margin > s_p and s_p < 1 - 1e-5.

    Args:
        scores: (Q, N) cosine similarities.
        relevance: (Q, N); positives are a query's most relevant items.
        margin: by which a positive has to win.
    """
    positive = most_relevant(relevance)
    hardest = scores.masked_fill(positive, -FAR_BELOW).amax(1, keepdim=True)  # (Q, 1)
    counts = positive & (hardest + margin > scores) & (scores < 1 - 1e-5)
    of_positive = torch.relu(0.2 * scores.square() - 0.7 * scores + 0.5)
    of_negative = torch.relu(0.9 * hardest.square() - 0.4 * hardest + 0.03)
    losses = (of_positive + of_negative).masked_fill(~counts, 0)
    return (losses.sum(1) / positive.sum(1)).mean()


class WeightedTriplet(ScoreLoss):
    """Mei et al.'s weighted triplet loss: like triplet-max, with a slope that depends on the scores.

    Args:
        direction: "both" takes the mean of the two, where the authors' code takes their sum.
        margin: a positive that wins by more has no loss.

    Relations: `Triplet` with `negatives: hard` has the same slope everywhere. In the paper `InfoNCE` was better.

    Source: the authors' code; the constants of the polynomials are fixed there.
    """

    citation = 'Mei et al. 2022, "On metric learning for audio-text cross-modal retrieval"'
    bibtex = (
        "@inproceedings{mei2022metric, title={On metric learning for audio-text cross-modal retrieval}, "
        "author={Mei, Xinhao and Liu, Xubo and Sun, Jianyuan and Plumbley, Mark D. and Wang, Wenwu}, "
        "booktitle={Interspeech}, year={2022}}"
    )
    has_tau: ClassVar[bool] = False

    def __init__(self, direction: Directions = "both", margin: float = 0.2) -> None:
        super().__init__(direction)
        check_numbers(RelevanceError, "WeightedTriplet", 1e-6, margin=margin)
        self.margin = margin

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return weighted_triplet_loss(scores, relevance, self.margin)
