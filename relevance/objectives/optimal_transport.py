"""Optimal transport: which captions and recordings of a batch belong together, all at once."""

import math
from typing import ClassVar

from torch import Tensor

from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.base import IGNORED
from relevance.objectives.base import Directions, ScoreLoss, target_distribution
from relevance.objectives.target_checks import check_targets


def log_plan(costs: Tensor, epsilon: float, iterations: int) -> Tensor:
    """The logarithm (Q, N) of the entropic transport plan between uniform marginals 1 / Q and 1 / N, by Sinkhorn.

    Computed in the log, so that a small epsilon does not underflow. Rows have exactly their marginal, columns almost.

    Args:
        costs: (Q, N).
        epsilon: weight of the entropy.
        iterations: each sets the columns' and then the rows' marginals.
    """
    kernel = -costs / epsilon
    rows, columns = costs.shape
    of_rows, of_columns = kernel.new_zeros(rows, 1), kernel.new_zeros(1, columns)
    for _ in range(iterations):
        of_columns = -math.log(columns) - (kernel + of_rows).logsumexp(0, keepdim=True)
        of_rows = -math.log(rows) - (kernel + of_columns).logsumexp(1, keepdim=True)
    return kernel + of_rows + of_columns


def transport_loss(scores: Tensor, relevance: Tensor, epsilon: float, iterations: int, omega: float | None) -> Tensor:
    """-1/Q sum_ij P_ij log plan_ij, a scalar, of the cost sqrt(2 - 2 s) over its maximum.

    With binary relevance and recordings that differ this is -1/Q sum_i log plan_ii.

    Args:
        scores: (Q, N) cosine similarities of a whole batch.
        relevance: (Q, N).
        epsilon, iterations: of the plan.
        omega: of the target P.
    """
    costs = (2 - 2 * scores).clamp_min(1e-6).sqrt()  # the root has no slope at 0
    plan = log_plan(costs / costs.amax(), epsilon, iterations)
    return -(target_distribution(relevance, omega) * plan).sum(1).mean()


class OptimalTransport(ScoreLoss):
    """m-LTM's objective: the entropic transport plan between a batch's captions and recordings, compared with P.

    The plan assigns each caption one recording's worth of mass and the reverse, so a recording cannot be the best match
    of all captions. A process needs the scores of the whole batch.

    Args:
        direction: makes no difference to the plan; with graded relevance P is over the items of this direction.
        epsilon: weight of the plan's entropy; the paper's .03. Far below it the plan is a permutation, and wrong pairs
            have an immense loss; near 1 it is uniform.
        iterations: of Sinkhorn; the gradient goes through all of them.
        omega: temperature of P for graded relevance; null divides rows by their sum.

    Relations: `InfoNCE` normalises the rows alone. `PriorRevised` corrects the scores once, instead of iterating.

    Not here: the learned metric M of the paper, which shared heads of the matcher amount to before their outputs are
    normalised, and the nuclear norm of M, which the authors' code computes and does not use; partial transport.

    Source: equations 5 to 8 as notes on the paper and the authors' code have them; distance over its maximum as there.
    """

    citation = 'Luong et al. 2024, "Revisiting deep audio-text retrieval through the lens of transportation"'
    bibtex = (
        "@inproceedings{luong2024revisiting, "
        "title={Revisiting deep audio-text retrieval through the lens of transportation}, "
        "author={Luong, Manh and others}, booktitle={International Conference on Learning Representations}, "
        "year={2024}}"
    )
    whole_batch: ClassVar[bool] = True
    has_tau: ClassVar[bool] = False

    def __init__(
        self,
        direction: Directions = "text_to_audio",
        epsilon: float = 0.03,
        iterations: int = 50,
        omega: float | None = None,
    ) -> None:
        super().__init__(direction)
        check_numbers(RelevanceError, "OptimalTransport", 1e-4, 1e3, epsilon=epsilon)
        check_numbers(RelevanceError, "OptimalTransport", 1, 10_000, iterations=iterations)
        check_numbers(RelevanceError, "OptimalTransport", 1e-6, 1e6, omega=omega)
        self.epsilon, self.iterations, self.omega = epsilon, iterations, omega

    def check(self, relevance: Tensor) -> None:
        """Like `Objective.check`; refuses pairs that are to be ignored, and targets without mass."""
        super().check(relevance)
        if (relevance == IGNORED).any():
            raise RelevanceError(
                "OptimalTransport assigns all items of a batch, so none can be ignored; take another objective, or "
                "model.relevance without FalseNegatives"
            )
        check_targets(relevance, self.omega)

    def loss(self, scores: Tensor, relevance: Tensor) -> Tensor:
        """Like `ScoreLoss.loss`."""
        return transport_loss(scores, relevance, self.epsilon, self.iterations, self.omega)
