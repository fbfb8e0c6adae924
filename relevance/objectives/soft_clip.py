"""SoftCLIP: targets from similarities within a modality, and their negatives once more for themselves."""

import torch
from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import Directions, ScoreLoss, most_relevant
from relevance.objectives.hard_negatives import NOTHING


def divergence(log_target: Tensor, log_prediction: Tensor) -> Tensor:
    """The mean over queries of KL(P || Q), a scalar, of log P and log Q (Q, N)."""
    return (log_target.exp() * (log_target - log_prediction)).sum(1).mean()


def softclip_loss(
    logits: Tensor, relevance: Tensor, omega: float, smoothing: float, softness: float, negatives: float
) -> Tensor:
    """KL(P || Q) + negatives * KL(P' || Q'), a scalar, Q = softmax(logits).

    P = softness softmax(g / omega) + (1 - softness) H, H the positives' smoothed one-hot; P' and Q' are softmax(g /
    omega) and Q without the positives, normalised again. Positives are a query's most relevant items.

    Args:
        logits: (Q, N) s / tau.
        relevance: (Q, N) g, the similarity of the query to others of its own modality.
        omega: temperature of g.
        smoothing: share of H that goes to all other items alike.
        softness: share of the softmax in P.
        negatives: weight of the second term.
    """
    positive = most_relevant(relevance)
    others = (~positive).sum(1, keepdim=True)
    share = torch.where(others > 0, 1 - smoothing, 1.0) / positive.sum(1, keepdim=True)
    hard = torch.where(positive, share, smoothing / others.clamp_min(1))  # (Q, N)
    target = softness * torch.softmax(relevance / omega, 1) + (1 - softness) * hard
    total = divergence(target.clamp_min(1e-30).log(), logits.log_softmax(1))
    without = [values.masked_fill(positive, NOTHING).log_softmax(1) for values in (relevance / omega, logits)]
    there = others[:, 0] > 0
    apart = (without[0].exp() * (without[0] - without[1])).sum(1)  # (Q,)
    return total + negatives * torch.where(there, apart, 0.0).mean()


class SoftCLIP(ScoreLoss):
    """Soft targets from similarities within the query's modality; its positives and negatives are taught apart.

    Args:
        direction: one, or the mean of both.
        tau: temperature of scores.
        omega: temperature of relevance. Far below 0.05 the targets are one-hot.
        smoothing: of the hard part of the targets.
        softness: share of the soft part; 0 leaves smoothed one-hot targets.
        negatives: weight of the comparison of negatives alone, which the positive would drown out.
        learn_tau: train tau, in the log.

    Relations: with softness 1 and negatives 0 it has the gradient of `ListNet`; with softness, smoothing and negatives
    0 that of `InfoNCE`. `CUSA` also compares within modalities. Give it `ByDirection`, where there are similarities of
    recordings too, so that each direction has those of its queries.

    Source: from memory of the paper, whose weights could not be checked: those here are no published ones.
    """

    citation = 'Gao et al. 2024, "SoftCLIP: softer cross-modal alignment makes CLIP stronger"'
    bibtex = (
        "@inproceedings{gao2024softclip, title={SoftCLIP: softer cross-modal alignment makes CLIP stronger}, "
        "author={Gao, Yuting and Liu, Jinfeng and Xu, Zihan and Wu, Tong and Zhang, Enwei and Li, Ke and Yang, Jie and "
        "Liu, Wei and Sun, Xing}, booktitle={AAAI Conference on Artificial Intelligence}, year={2024}}"
    )

    def __init__(
        self,
        direction: Directions = "both",
        tau: float = 0.05,
        omega: float = 0.1,
        smoothing: float = 0.1,
        softness: float = 0.5,
        negatives: float = 0.5,
        learn_tau: bool = False,
    ) -> None:
        super().__init__(direction, tau, learn_tau)
        check_numbers(RelevanceError, "SoftCLIP", 0, 1, smoothing=smoothing, softness=softness)
        check_numbers(RelevanceError, "SoftCLIP", 0, 1e3, negatives=negatives)
        check_numbers(RelevanceError, "SoftCLIP", 1e-6, 1e6, omega=omega)
        self.omega, self.smoothing, self.softness, self.negatives = omega, smoothing, softness, negatives

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        assert self.omega is not None
        return softclip_loss(scores, relevance, self.omega, self.smoothing, self.softness, self.negatives)
