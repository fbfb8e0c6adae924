"""The scoring functions f against their formulas, and their properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RelevanceError
from relevance.scoring import Linear, Logistic, MinMax, Scoring, SteepLogistic, Threshold

ALL = [Logistic(), SteepLogistic(), MinMax(), MinMax(-0.2, 0.9), Threshold(), Linear()]


@pytest.mark.parametrize(
    ("similarity", "relevance"), [(0.0, 0.0612), (0.5, 0.3917), (0.8, 0.7179), (0.9, 0.8009), (1.0, 0.8641)]
)
def test_logistic_gives_the_papers_values(similarity: float, relevance: float) -> None:
    assert float(Logistic()(torch.tensor(similarity))) == pytest.approx(relevance, abs=5e-5)


@pytest.mark.parametrize("scoring", ALL, ids=repr)
@given(values=st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=30))
def test_relevance_is_in_the_unit_interval_and_monotone(scoring: Scoring, values: list[float]) -> None:
    h = torch.tensor(sorted(values))
    g = scoring(h)
    assert g.shape == h.shape
    assert bool(((g >= 0) & (g <= 1)).all())
    assert bool((g.diff() >= -1e-6).all())


def test_formulas_against_plain_python() -> None:
    h = np.linspace(-1, 1, 41)
    cases = {
        Logistic(1.5, 3.0): [1 / (1 + math.exp(1.5 - 3.0 * x)) for x in h],
        SteepLogistic(): [1 / (1 + math.exp(-(25 * x - 20))) for x in h],
        MinMax(): [(x + 1) / 2 for x in h],
        MinMax(0.0, 0.5): [min(max(x / 0.5, 0), 1) for x in h],
        Threshold(0.7): [x if x > 0.7 else 0 for x in h],
        Linear(): [max(x, 0) for x in h],
    }
    for scoring, expected in cases.items():
        np.testing.assert_allclose(scoring(torch.from_numpy(h)).numpy(), expected, rtol=1e-12, atol=1e-12)


def test_min_max_of_equal_similarities_is_one() -> None:
    assert MinMax()(torch.full((2, 2), 0.3)).tolist() == [[1, 1], [1, 1]]


def test_min_max_refuses_bounds_in_the_wrong_order() -> None:
    with pytest.raises(RelevanceError, match=r"low \(0.9\) must be below high \(0.1\)"):
        MinMax(0.9, 0.1)
