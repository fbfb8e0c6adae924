"""Barlow Twins: the correlation of two views should be the identity."""

from typing import ClassVar

from torch import Tensor

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.regularisers.two_views import TwoViews, Views


def barlow_loss(first: Tensor, second: Tensor, off_diagonal: float) -> Tensor:
    """sum_i (1 - C_ii)^2 + off_diagonal sum_(i != j) C_ij^2, a scalar, of views (B, D).

    C (D, D) is the correlation over the batch of dimension i in the one view with dimension j in the other.

    Source: Zbontar et al. 2021, "Barlow Twins: self-supervised learning via redundancy reduction", equations 1 and 2.
    """
    standard = [(view - view.mean(0)) / (view.var(0, correction=0) + 1e-5).sqrt() for view in (first, second)]
    matrix = standard[0].T @ standard[1] / len(first)  # (D, D)
    diagonal = matrix.diagonal()
    beside = matrix.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + off_diagonal * beside


class BarlowTwins(TwoViews):
    """A dimension should say the same of both views, and something else than the other dimensions.

    Args:
        weight: of the term; ours, small, since the paper has no other loss beside it.
        of: the views that are compared: "audio", "text", "both", or "pairs", see `TwoViews`.
        off_diagonal: weight of what two dimensions share, the paper's.
        crop: share of a recording that the second view hears, a random stretch.

    Raises:
        ModelError: a number is out of range, or `of` is something else.

    Relations: `VICReg` looks at each view apart, so it can act on one that has no noise. Correlations of a batch much
    smaller than D are noisy.
    """

    citation: ClassVar[str] = 'Zbontar et al. 2021, "Barlow Twins: self-supervised learning via redundancy reduction"'

    def __init__(
        self, weight: float = 0.001, of: Views = "both", off_diagonal: float = 0.005, crop: float = 1.0
    ) -> None:
        super().__init__(weight, of, crop)
        check_numbers(ModelError, "model.regularisers: BarlowTwins", 0, off_diagonal=off_diagonal)
        self.off_diagonal = off_diagonal

    def term(self, first: Tensor, second: Tensor) -> Tensor:
        """As `barlow_loss`."""
        return barlow_loss(first, second, self.off_diagonal)
