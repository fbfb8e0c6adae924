"""ListMLE: the likelihood of the right order."""

import torch
from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import Directions, ScoreLoss


def listmle_loss(logits: Tensor, relevance: Tensor, top: int | None = None) -> Tensor:
    """The mean over queries of -sum_i log [e^{l_i} / sum_{k >= i} e^{l_k}], items in order of falling relevance.

    Equally relevant items are in random order, drawn at each call from torch's generator.

    Args:
        logits: (Q, N) s / tau.
        relevance: (Q, N).
        top: only the first places count; None: all N.
    """
    shuffled = torch.rand(relevance.shape, device=relevance.device).argsort(dim=1)
    order = shuffled.gather(1, relevance.gather(1, shuffled).argsort(dim=1, descending=True, stable=True))
    logits = logits.gather(1, order)
    remaining = logits.flip(1).logcumsumexp(1).flip(1)  # (Q, N) log of the sum over this place and all after it
    return (remaining - logits)[:, :top].sum(1).mean()


class ListMLE(ScoreLoss):
    """The negative log-likelihood, by the Plackett-Luce model, of the items' order by relevance.

    Args:
        direction: one, or the mean of both.
        tau: temperature of scores. Near 1 cosines give all orders about the same likelihood; far below 0.05 the
            likelihood of an order hangs on a few close pairs.
        top: only the first places of the order count; null: all. Equally relevant items are in random order, so with
            binary relevance give 1, which is the cross-entropy of one positive drawn at random.
        learn_tau: train tau, in the log.

    Relations: `ListNet` compares distributions over the first place alone, and how much more relevant an item is
    counts; here the order counts. `LambdaLoss` weighs places by NDCG.

    Source: allRank (Pobrotyn et al. 2020), with whose values and gradients it agrees; not compared with the paper.
    """

    citation = 'Xia et al. 2008, "Listwise approach to learning to rank: theory and algorithm"'
    bibtex = (
        "@inproceedings{xia2008listwise, title={Listwise approach to learning to rank: theory and algorithm}, "
        "author={Xia, Fen and Liu, Tie-Yan and Wang, Jue and Zhang, Wensheng and Li, Hang}, "
        "booktitle={International Conference on Machine Learning}, year={2008}}"
    )
    needs_levels = True

    def __init__(
        self, direction: Directions = "both", tau: float = 0.05, top: int | None = None, learn_tau: bool = False
    ) -> None:
        super().__init__(direction, tau, learn_tau)
        check_numbers(RelevanceError, "ListMLE", 1, top=top)
        self.top = top

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return listmle_loss(scores, relevance, self.top)
