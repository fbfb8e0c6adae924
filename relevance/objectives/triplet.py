"""Triplet losses, and how their negatives are chosen."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import Directions, ScoreLoss, most_relevant
from relevance.objectives.max_margin import hinges
from relevance.objectives.relevance_checks import check_graded

Negatives = Literal["all", "random", "semi_hard", "hard", "text_easy", "text_hard"]


def choose_negative(scores: Tensor, relevance: Tensor, own: Tensor, negatives: Negatives) -> Tensor:
    """One item (Q, 1) int64 of each query among those that are not its most relevant ones.

    Args:
        scores: (Q, N).
        relevance: (Q, N).
        own: (Q, 1) the positive's score.
        negatives: "random"; "semi_hard", whose score is nearest to the positive's; "hard", of the highest score;
            "text_easy" and "text_hard", the least and the most relevant one.
    """
    wish = {
        "random": lambda: torch.rand(scores.shape, device=scores.device),
        "semi_hard": lambda: -(scores.detach() - own.detach()).abs(),
        "hard": scores.detach,
        "text_easy": lambda: -relevance,
        "text_hard": lambda: relevance,
    }[negatives]()
    return wish.masked_fill(most_relevant(relevance), -torch.inf).argmax(1, keepdim=True)


def triplet_loss(
    scores: Tensor, relevance: Tensor, margin: float, negatives: Negatives = "all", graded: bool = False
) -> Tensor:
    """The mean over queries and their positives p of the sum over chosen negatives n of [margin + s_n - s_p]+.

    A query's positives are its most relevant items, so clips that are twice in a batch are no negatives.

    Args:
        scores: (Q, N); gradients flow through them.
        relevance: (Q, N).
        margin: by which a positive has to win.
        negatives: "all" of them, or one of each query and positive: `choose_negative`.
        graded: multiply the margin by g_p - g_n.
    """
    total = scores.new_zeros(len(scores))  # (Q,)
    for own, hinge in hinges(scores, relevance, margin, graded):
        if negatives == "all":
            total = total + hinge.sum(1)
        else:
            total = total + hinge.gather(1, choose_negative(scores, relevance, own, negatives))[:, 0]
    return (total / most_relevant(relevance).sum(1)).mean()


class Triplet(ScoreLoss):
    """[margin + s_n - s_p]+ of a query, its positive p and a negative n: triplet-sum, triplet-max and other choices.

    Args:
        direction: "both" takes the mean of the two, where the papers take their sum.
        margin: by which a positive has to win over a negative. Above 1 cosines can hardly satisfy it.
        negatives: "all" is triplet-sum and "hard" triplet-max. Of a single negative for each query, "random" is drawn
            again at each step, "semi_hard" has the score nearest to the positive's. "text_easy" and "text_hard" have
            the least and the most similar caption, by the relevance, which has to be graded for this; two captions'
            texts stand for the recordings too. "hard" may collapse to equal scores at the start.
        graded: multiply the margin by the difference in relevance; for learned relevance.

    Relations: `MaxMargin` is "all" divided by the number of negatives, so its margin and learning rate do not depend on
    the batch size. `WeightedTriplet` weighs by polynomials of the scores. `InfoNCE` weighs all negatives smoothly.

    Source: sum and max of hinges as Mei et al. 2022 compare them for audio; the choices of negatives as Xie et al. 2023
    (there margin .5, and text or audio similarity by pretrained embeddings).
    """

    citation = 'Xie et al. 2023, "On negative sampling for contrastive audio-text retrieval"'
    bibtex = (
        "@inproceedings{xie2023negative, title={On negative sampling for contrastive audio-text retrieval}, "
        "author={Xie, Huang and Räsänen, Okko and Virtanen, Tuomas}, "
        "booktitle={International Conference on Acoustics, Speech and Signal Processing}, year={2023}}"
    )
    has_tau: ClassVar[bool] = False

    def __init__(
        self,
        direction: Directions = "both",
        margin: float = 0.2,
        negatives: Negatives = "all",
        graded: bool = False,
    ) -> None:
        super().__init__(direction)
        check_numbers(RelevanceError, "Triplet", 1e-6, margin=margin)
        self.margin, self.negatives, self.graded = margin, negatives, graded

    def check(self, relevance: Tensor) -> None:
        """Like `Objective.check`; refuses binary relevance where it chooses negatives by text."""
        super().check(relevance)
        if self.negatives in ("text_easy", "text_hard"):
            check_graded(relevance, f"Triplet with negatives: {self.negatives}")

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return triplet_loss(scores, relevance, self.margin, self.negatives, self.graded)
