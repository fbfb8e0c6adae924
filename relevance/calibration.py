"""The logistic scoring function's two constants, fitted to how relevant people find recordings to queries.

Xie et al. 2024 (section V-A) fit g = 1 / (1 + exp(a - b h)) by beta regression (Ferrari & Cribari-Neto 2004): a rating
in (0, 1) is beta-distributed about the mean g, with one precision for all. h is the similarity of the query and the
captions of the rated recording; the paper leaves open how several captions make one h, hence `Pairing`.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from common.errors import RelevanceError
from relevance.scoring import Logistic

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Pairing = Literal["all", "others", "best", "each"]

PAPER = Logistic()


@dataclass(frozen=True)
class Calibration:
    """g = 1 / (1 + exp(intercept - slope h)) fitted to ratings, with 95 % confidence intervals.

    Attributes:
        intercept: a, the value that the paper gives as 2.73.
        slope: b, the value that the paper gives as 4.58.
        intercept_interval: lower and upper bound of a.
        slope_interval: lower and upper bound of b.
        precision: phi of the beta distribution; a rating's variance is g (1 - g) / (1 + phi).
        count: ratings fitted.
        squeezed: ratings of exactly 0 or 1; where there are any, all ratings were squeezed (see `squeeze`).

    >>> print(Calibration(2.731, 4.579, (2.6, 2.9), (4.3, 4.9), 5.0, 3400))
    g = 1 / (1 + exp(2.73 - 4.58 h))
    """

    intercept: float
    slope: float
    intercept_interval: tuple[float, float]
    slope_interval: tuple[float, float]
    precision: float
    count: int
    squeezed: int = 0

    @property
    def scoring(self) -> Logistic:
        """The fitted function."""
        return Logistic(self.intercept, self.slope)

    def __str__(self) -> str:
        sign = "-" if self.slope >= 0 else "+"
        return f"g = 1 / (1 + exp({self.intercept:.2f} {sign} {abs(self.slope):.2f} h))"


def pool_similarities(
    similarities: Sequence[Floats], own: Sequence[Bools], pairing: Pairing = "all"
) -> tuple[Floats, Ints]:
    """The h of each rated pair of a query and a recording, from the query's similarities to the recording's captions.

    "all" is their mean. "others" is their mean without the query itself, which is one of the captions of the recording
    that it describes (h = 1). "best" is the largest. "each" pools nothing: one row a caption, all with the pair's
    rating, as in training, where one caption stands for its recording.

    Args:
        similarities: P arrays, each (captions of the recording,), cosines.
        own: P arrays of the same shapes; true where the caption is the query itself.
        pairing: one of the above.

    Returns:
        h (R,) float64, and (R,) int64, the pair from 0 to P-1 that each row belongs to.

    Raises:
        RelevanceError: an unknown pairing, or a pair that is left without captions.

    >>> pool_similarities([np.array([1.0, 0.6, 0.4])], [np.array([True, False, False])], "others")
    (array([0.5]), array([0]))
    """
    if pairing not in get_args(Pairing):
        raise RelevanceError(f"pairing is {pairing!r}: give one of {', '.join(get_args(Pairing))}")
    if pairing == "others":
        similarities = [h[~itself] for h, itself in zip(similarities, own, strict=True)]
    for pair, h in enumerate(similarities):
        if not h.size:
            remedy = "take pairing 'all'" if pairing == "others" else "leave the pair out"
            raise RelevanceError(f"rated pair {pair}: pairing '{pairing}' finds no caption of the recording; {remedy}")
    if pairing == "each":
        counts = [h.size for h in similarities]
        return np.concatenate(similarities).astype(np.float64), np.repeat(np.arange(len(counts)), counts)
    pool = np.max if pairing == "best" else np.mean
    return np.array([pool(h) for h in similarities], dtype=np.float64), np.arange(len(similarities))


def squeeze(rating: Floats) -> Floats:
    """Ratings (R,) in [0, 1] moved into (0, 1): (y (R - 1) + .5) / R (Smithson & Verkuilen 2006).

    The beta distribution has no density at 0 and 1. Use it only where ratings of 0 or 1 occur: it draws all ratings
    towards 1/2, so the curve gets flatter. How far the ends are moved depends on R, and matters: where half of
    the ratings are 0, the constants depend on it.

    >>> squeeze(np.array([0.0, 1.0]))
    array([0.25, 0.75])
    """
    return (rating * (len(rating) - 1) + 0.5) / len(rating)


def fit_logistic(similarity: Floats, rating: Floats, groups: Ints | None = None) -> Calibration:
    """Beta regression with logit link of ratings on similarities, by maximum likelihood.

    Args:
        similarity: h (R,) float64.
        rating: (R,) float64 in [0, 1]; all are squeezed into (0, 1) where any is 0 or 1, else none is.
        groups: (R,) integers, e.g. the query that each row belongs to. Ratings of one query go together, so with
            groups the intervals are cluster-robust (sandwich estimator); without, rows count as independent.

    Raises:
        RelevanceError: shapes differ, values are out of range or not finite, too few rows, similarities or ratings that
            are all alike, or no convergence.
    """
    _check(similarity, rating, groups)
    from statsmodels.othermod.betareg import BetaModel  # here: it brings pandas, and training does not need it

    ends = int(((rating == 0) | (rating == 1)).sum())
    design = np.column_stack([np.ones_like(similarity), similarity])  # (R, 2)
    robust = {} if groups is None else {"cov_type": "cluster", "cov_kwds": {"groups": groups}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is checked below
        fit = BetaModel(squeeze(rating) if ends else rating, design).fit(**robust)
        bounds = np.asarray(fit.conf_int(alpha=0.05))[:2]  # (2, 2): constant and slope; lower and upper
    constant, slope, log_precision = np.asarray(fit.params)
    if not (fit.mle_retvals["converged"] and np.isfinite(bounds).all()):
        raise RelevanceError(
            f"the beta regression of {len(rating)} ratings did not converge; "
            "give more, over a wider range of similarities, with the scatter of real ratings"
        )
    return Calibration(
        intercept=-float(constant),
        slope=float(slope),
        intercept_interval=(-float(bounds[0, 1]), -float(bounds[0, 0])),  # the sign turns, so the ends change places
        slope_interval=(float(bounds[1, 0]), float(bounds[1, 1])),
        precision=float(np.exp(log_precision)),
        count=len(rating),
        squeezed=ends,
    )


def agreement(predicted: Floats, rating: Floats) -> tuple[float, float]:
    """How well g (R,) serves for ratings (R,): R2 as their squared Pearson correlation, and the root mean square error.

    The first is the share of the ratings' variance that the best straight line through g explains; it does not see that
    g is too high or too low throughout. The second, in the ratings' unit, does.

    >>> agreement(np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.4, 0.6]))[0]
    1.0
    """
    correlation = np.corrcoef(predicted, rating)[0, 1]
    return round(float(correlation**2), 12), float(np.sqrt(np.mean((predicted - rating) ** 2)))


def _check(similarity: Floats, rating: Floats, groups: Ints | None) -> None:
    if similarity.ndim != 1 or similarity.shape != rating.shape or (groups is not None and len(groups) != len(rating)):
        raise RelevanceError(f"{similarity.shape} similarities for {rating.shape} ratings: give one of each for a row")
    if not (np.isfinite(similarity).all() and (np.abs(similarity) <= 1 + 1e-6).all()):
        raise RelevanceError("similarities must be cosines in [-1, 1]: a caption's embedding is not finite or not unit")
    if not ((rating >= 0) & (rating <= 1)).all():
        raise RelevanceError("ratings must be in [0, 1]: divide those from 0 to 100 by 100")
    for name, values in (("similarities", similarity), ("ratings", rating)):
        if len(np.unique(values.round(3))) < 3:
            raise RelevanceError(
                f"{len(values)} {name} hold fewer than three values .001 apart, too few for a curve: give more ratings"
            )
    if groups is not None and len(np.unique(groups)) < 2:
        raise RelevanceError("all ratings are of one query: intervals over queries need two or more")
