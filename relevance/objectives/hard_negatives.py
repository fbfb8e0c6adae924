"""Contrastive losses that weigh positives and negatives: Hybrid-NCE, HN-NCE and the decoupled loss."""

import math

import torch
from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import Directions, ScoreLoss, most_relevant

NOTHING = -1e9
"""The logarithm of a sum without terms, finite so that gradients stay numbers."""


def weighted_nce(logits: Tensor, positive: Tensor, alpha: float, beta: float) -> Tensor:
    """The mean over queries of -log [P / (alpha P + N)], a scalar.

    P = sum_j w_j exp(l_j) over positives; N = sum_k v_k exp(l_k) over the n others, v = n softmax(beta l). With alpha =
    1, beta = 0 and one positive of weight 1 this is InfoNCE. A query without negatives counts as 0.

    Args:
        logits: (Q, N) s / tau.
        positive: (Q, N) weights w of positives, 0 where an item is a negative.
        alpha: share of the positives in the denominator.
        beta: above 0 the negatives with the highest scores count more.
    """
    is_positive = positive > 0
    p = (positive.clamp_min(1e-30).log() + logits).masked_fill(~is_positive, NOTHING).logsumexp(1)  # (Q,)
    count = (~is_positive).sum(1)
    weights = (beta * logits).masked_fill(is_positive, NOTHING).log_softmax(1) + count.clamp_min(1).log()[:, None]
    n = (weights + logits).masked_fill(is_positive, NOTHING).logsumexp(1)  # (Q,)
    whole = n if alpha == 0 else torch.logaddexp(math.log(alpha) + p, n)
    return torch.where(count > 0, whole - p, 0.0).mean()


class HybridNCE(ScoreLoss):
    """-log [P / (alpha P + N)]: several weighted positives, and negatives that count more the higher they score.

    An item is a positive of weight g / max g where its relevance g is at least `relevant_from`; the most relevant items
    always are. All others are negatives.

    Args:
        direction: one, or the mean of both; the published script trains audio to text alone.
        tau: temperature of scores; far below 0.05 the best scored items alone count, near 1 nothing is told apart.
        alpha: share of the positives in the denominator; 0 leaves them out, as `Decoupled` does.
        beta: hardness; 0 weighs all negatives alike. Far above 1 a single negative stands for all.
        relevant_from: relevance from which an item is a positive; 1 leaves the most relevant ones.
        learn_tau: train tau, in the log.

    Relations: `HNNCE` has a single positive. With alpha = 1, beta = 0 and binary relevance with one positive this is
    `InfoNCE`; with several, the logarithm is outside of their sum, and `InfoNCE` has it inside. `ListNet` gives
    partly relevant items a share of the target instead.

    Source: the released code of AuroLA (arXiv 2602.18010); there positives are clips of equal tag clusters, weight .2.
    """

    citation = 'Xu et al. 2026, "Scaling audio-text retrieval with multimodal large language models"'
    bibtex = (
        "@misc{xu2026scaling, title={Scaling audio-text retrieval with multimodal large language models}, "
        "author={Xu, Jilan and Thomé, Carl and Horak, Danijela and Xie, Weidi and Zisserman, Andrew}, "
        "eprint={2602.18010}, archivePrefix={arXiv}, year={2026}}"
    )

    def __init__(
        self,
        direction: Directions = "both",
        tau: float = 0.05,
        alpha: float = 1.0,
        beta: float = 0.1,
        relevant_from: float = 0.72,
        learn_tau: bool = False,
    ) -> None:
        super().__init__(direction, tau, learn_tau)
        check_numbers(RelevanceError, type(self).__name__, 0, 1, alpha=alpha, relevant_from=relevant_from)
        check_numbers(RelevanceError, type(self).__name__, 0, 100, beta=beta)
        self.alpha, self.beta, self.relevant_from = alpha, beta, relevant_from

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        best = most_relevant(relevance)
        weights = relevance / relevance.amax(dim=1, keepdim=True).clamp_min(1e-6)
        weights = weights.masked_fill(~best & ((relevance < self.relevant_from) | (relevance <= 0)), 0)
        return weighted_nce(scores, weights.masked_fill(best, 1), self.alpha, self.beta)


class HNNCE(ScoreLoss):
    """HN-NCE: InfoNCE whose negatives count more the higher they score, v = n softmax(beta s / tau).

    Positives are the most relevant items, so graded relevance is taken as binary.

    Args:
        direction: one, or the mean of both.
        tau: temperature of scores.
        alpha: share of the positives in the denominator; the paper's .999.
        beta: hardness; the paper's .25. At 0, with alpha = 1, it is InfoNCE; far above 1 a single negative, perhaps a
            false one, stands for all.
        learn_tau: train tau, in the log.

    Relations: take `InfoNCE` where many negatives of a batch are false, since the hardest ones are the likeliest to be;
    `HybridNCE` where such items may count as positives.

    Source: the formula as in several public reimplementations; alpha and beta from memory.
    """

    citation = 'Radenovic et al. 2023, "Filtering, distillation, and hard negatives for vision-language pre-training"'
    bibtex = (
        "@inproceedings{radenovic2023filtering, "
        "title={Filtering, distillation, and hard negatives for vision-language pre-training}, "
        "author={Radenovic, Filip and others}, "
        "booktitle={Conference on Computer Vision and Pattern Recognition}, year={2023}}"
    )

    def __init__(
        self,
        direction: Directions = "both",
        tau: float = 0.05,
        alpha: float = 0.999,
        beta: float = 0.25,
        learn_tau: bool = False,
    ) -> None:
        super().__init__(direction, tau, learn_tau)
        check_numbers(RelevanceError, "HNNCE", 0, 1, alpha=alpha)
        check_numbers(RelevanceError, "HNNCE", 0, 100, beta=beta)
        self.alpha, self.beta = alpha, beta

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return weighted_nce(scores, most_relevant(relevance).to(scores.dtype), self.alpha, self.beta)


class Decoupled(ScoreLoss):
    """InfoNCE without the positive in the denominator: -s_p / tau + log sum_k exp(s_k / tau) over negatives.

    Positives are the most relevant items, so graded relevance is taken as binary.

    Args:
        direction: one, or the mean of both.
        tau: temperature of scores. Nothing bounds the loss from below, so a small tau also moves easy pairs on and on.
        learn_tau: train tau, in the log; it then falls without end, since a smaller tau makes the loss smaller.

    Relations: take it instead of `InfoNCE` where batches are small: there the gradient of a pair vanishes once its
    positive wins. `HNNCE` weighs the negatives as well.

    Source: without weights, as in public reimplementations; not compared with the paper.
    """

    citation = 'Yeh et al. 2022, "Decoupled contrastive learning"'
    bibtex = (
        "@inproceedings{yeh2022decoupled, title={Decoupled contrastive learning}, "
        "author={Yeh, Chun-Hsiao and others}, booktitle={European Conference on Computer Vision}, year={2022}}"
    )

    def __init__(self, direction: Directions = "both", tau: float = 0.05, learn_tau: bool = False) -> None:
        super().__init__(direction, tau, learn_tau)

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return weighted_nce(scores, most_relevant(relevance).to(scores.dtype), 0.0, 0.0)
