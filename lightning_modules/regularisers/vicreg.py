"""VICReg: variance, invariance and covariance of embeddings."""

from typing import ClassVar

import torch
from torch import Tensor

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.regularisers.two_views import TwoViews, Views


def vicreg_loss(first: Tensor, second: Tensor, invariance: float, variance: float, covariance: float) -> Tensor:
    """invariance MSE(Z, Z') + variance [v(Z) + v(Z')] + covariance [c(Z) + c(Z')], a scalar, of views (B, D).

    v is the mean over dimensions of [1 - sqrt(var + 1e-4)]+, c the sum of squares of the covariance matrix beside its
    diagonal, divided by D; both with B - 1 in the denominator.

    Source: Bardes et al. 2022, "VICReg: variance-invariance-covariance regularization for self-supervised learning",
    equations 1 to 6 (with the mean over D in the invariance term, as in the authors' code).
    """
    total = invariance * (first - second).square().mean()
    for view in (first, second):
        centred = view - view.mean(0)
        matrix = centred.T @ centred / (len(view) - 1)  # (D, D)
        spread = torch.sqrt(matrix.diagonal() + 1e-4)
        beside = matrix.square().sum() - matrix.diagonal().square().sum()
        total = total + variance * torch.relu(1 - spread).mean() + covariance * beside / view.shape[1]
    return total


class VICReg(TwoViews):
    """Embeddings of two views should agree, use all dimensions, and each dimension for something else.

    Args:
        weight: of the term; ours, small, since the paper has no other loss beside it.
        of: the views that are compared: "audio", "text", "both", or "pairs", see `TwoViews`.
        invariance, variance, covariance: weights of the three parts, the paper's.
        crop: share of a recording that the second view hears, a random stretch.

    Raises:
        ModelError: a number is out of range, or `of` is something else.

    Relations: `BarlowTwins` has one matrix in place of three parts. With `of: audio` and an encoder without masks,
    dropout or crop both views are the same, and the first part is 0.
    """

    citation: ClassVar[str] = (
        'Bardes et al. 2022, "VICReg: variance-invariance-covariance regularization for self-supervised learning"'
    )

    def __init__(
        self,
        weight: float = 0.01,
        of: Views = "both",
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        crop: float = 1.0,
    ) -> None:
        super().__init__(weight, of, crop)
        parts = {"invariance": invariance, "variance": variance, "covariance": covariance}
        check_numbers(ModelError, "model.regularisers: VICReg", 0, **parts)
        self.invariance, self.variance, self.covariance = invariance, variance, covariance

    def term(self, first: Tensor, second: Tensor) -> Tensor:
        """As `vicreg_loss`."""
        return vicreg_loss(first, second, self.invariance, self.variance, self.covariance)
