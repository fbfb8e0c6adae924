"""NeuralNDCG: NDCG with a smooth order."""

import torch
from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.objectives.base import Directions, ScoreLoss
from relevance.objectives.pairs_of_items import differences, discounts, gains, ideal_dcg, mean_loss


def neural_sort(logits: Tensor) -> Tensor:
    """How much of item j is in place i, (Q, N, N): softmax_j((N + 1 - 2 i) l_j - sum_k |l_j - l_k|), i from 1.

    Source: Grover et al. 2019, "Stochastic optimization of sorting networks via continuous relaxations", equation 5.
    """
    n = logits.shape[1]
    places = torch.arange(1, n + 1, dtype=logits.dtype, device=logits.device)
    spread = differences(logits).abs().sum(2)  # (Q, N)
    return torch.softmax((n + 1 - 2 * places)[:, None] * logits[:, None, :] - spread[:, None, :], dim=2)


def doubly_stochastic(matrices: Tensor, iterations: int) -> Tensor:
    """Matrices (Q, N, N) with columns and rows divided by their sums, in turn, so that both become 1 (Sinkhorn)."""
    for _ in range(iterations):
        matrices = matrices / matrices.sum(1, keepdim=True).clamp_min(1e-10)
        matrices = matrices / matrices.sum(2, keepdim=True).clamp_min(1e-10)
    return matrices


def neural_ndcg_loss(logits: Tensor, relevance: Tensor, iterations: int, sharpness: float | None) -> Tensor:
    """1 less the mean over queries of the NDCG of a smooth order, a scalar; memory for 2 iterations Q N^2 numbers.

    Args:
        logits: (Q, N) s / tau.
        relevance: (Q, N).
        iterations: of Sinkhorn.
        sharpness: of gains.
    """
    gain = gains(relevance, sharpness)  # (Q, N)
    sorted_gain = (doubly_stochastic(neural_sort(logits), iterations) * gain[:, None, :]).sum(2)  # (Q, N)
    dcg = (sorted_gain * discounts(gain.shape[1], gain)).sum(1)
    ideal = ideal_dcg(gain)[:, 0]
    return mean_loss(dcg / ideal.clamp_min(1e-10), ideal > 0)


class NeuralNDCG(ScoreLoss):
    """1 - NDCG of items in an order by NeuralSort, made doubly stochastic by Sinkhorn's iterations.

    Args:
        direction: one, or the mean of both.
        tau: temperature of scores. The differences between places grow with the number of items, so far below 0.05 the
            order is hard and has no gradient; near 1 every item is in all places.
        iterations: of Sinkhorn; the paper stops after at most 50, or at a tolerance. Each needs memory for the
            gradient: with 256 pairs a batch give 5.
        sharpness: gain 2^(k g) - 1; null: g itself.
        learn_tau: train tau, in the log.

    Relations: `ApproxNDCG` makes ranks smooth instead of the order, and costs less; a rank counts there for each item
    alone, so that two items may share a place.

    Source: section 3 of the paper, deterministic variant without a cut.
    """

    citation = (
        'Pobrotyn and Białobrzeski 2021, "NeuralNDCG: direct optimisation of a ranking metric via differentiable '
        'relaxation of sorting"'
    )
    bibtex = (
        "@misc{pobrotyn2021neuralndcg, title={NeuralNDCG: direct optimisation of a ranking metric via differentiable "
        "relaxation of sorting}, author={Pobrotyn, Przemysław and Białobrzeski, Radosław}, eprint={2102.07831}, "
        "archivePrefix={arXiv}, year={2021}}"
    )
    needs_levels = True

    def __init__(
        self,
        direction: Directions = "both",
        tau: float = 0.05,
        iterations: int = 50,
        sharpness: float | None = 1.0,
        learn_tau: bool = False,
    ) -> None:
        super().__init__(direction, tau, learn_tau)
        check_numbers(RelevanceError, "NeuralNDCG", 0, 10_000, iterations=iterations)
        check_numbers(RelevanceError, "NeuralNDCG", 1e-3, 100, sharpness=sharpness)
        self.iterations, self.sharpness = iterations, sharpness

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return neural_ndcg_loss(scores, relevance, self.iterations, self.sharpness)
