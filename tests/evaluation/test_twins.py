"""Shares of twins told apart: by hand, by enumeration, by other libraries."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from common.errors import RelevanceError
from evaluation.analyses.twins import (
    COMPA_CHANCE,
    Share,
    TwinScores,
    compa,
    control,
    effective_number,
    recall_differences,
    recall_shares,
    recalls,
    share_of,
    told_apart,
    wilson,
)
from evaluation.scores import MatrixScores


def scores_of(*rows: tuple[float, float, float, float]) -> TwinScores:
    """Of rows s(a, c), s(a, c'), s(a', c), s(a', c')."""
    own, text, audio, both = np.array(rows, np.float64).T
    return TwinScores(own, text, np.arange(len(rows)), audio, both)


def values(shares: list[Share]) -> dict[str, float]:
    return {share.measure: share.value for share in shares}


HAND = scores_of(
    (0.9, 0.1, 0.2, 0.8),  # all right
    (0.9, 0.1, 0.95, 0.96),  # captions right for both recordings; c likes a' better
    (0.9, 0.95, 0.1, 0.96),  # recordings right for both captions; a likes c' better
    (0.5, 0.5, 0.1, 0.1),  # captions tie twice; c prefers a, and c' prefers a too
    (0.1, 0.9, 0.8, 0.2),  # all wrong
)


def test_compas_scores_by_hand() -> None:
    assert values(compa(HAND)) == {"CompA text": 0.4, "CompA audio": 0.4, "CompA group": 0.2}


def test_shares_by_hand() -> None:
    assert values(told_apart(HAND)) == {"text": (2 + 2 + 1 + 1 + 0) / 10, "audio": (2 + 1 + 2 + 1 + 0) / 10}
    text, audio = told_apart(HAND)
    assert (text.ties, audio.ties, text.n) == (0.2, 0.0, 10)


def test_chance_of_compa_is_what_all_orders_of_four_scores_give() -> None:
    orders = scores_of(*((a, b, c, d) for a, b, c, d in itertools.permutations((0.1, 0.2, 0.3, 0.4))))
    assert values(compa(orders)) == pytest.approx(COMPA_CHANCE)
    assert values(told_apart(orders)) == {"text": 0.5, "audio": 0.5}
    assert all(share.chance == pytest.approx(share.value) for share in compa(orders) + told_apart(orders))


def test_a_scorer_that_sees_no_difference_gets_half_and_nothing_of_compa() -> None:
    tied = scores_of(*[(0.3, 0.3, 0.3, 0.3)] * 4)
    assert values(told_apart(tied)) == {"text": 0.5, "audio": 0.5}
    assert all(share.ties == 1 for share in told_apart(tied))
    assert set(values(compa(tied)).values()) == {0.0}


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=20))
def test_a_scorer_that_does_not_listen_gets_half(liked: list[tuple[float, float]]) -> None:
    deaf = scores_of(*[(c, twin, c, twin) for c, twin in liked])
    assert values(told_apart(deaf)) == {"text": 0.5, "audio": 0.5}
    assert values(compa(deaf))["CompA text"] == 0


def test_differences_of_rounding_are_ties() -> None:
    text = np.array([0.5 + 1e-8, 0.5 + 1e-4])
    share = told_apart(TwinScores(np.array([0.5, 0.5]), text, np.arange(2)))[0]
    assert (share.value, share.ties) == (0.25, 0.5)
    assert control(TwinScores(np.array([0.5, 0.5]), text, np.arange(2))).measure == "text, other recording"


@given(st.integers(0, 60), st.integers(1, 60))
def test_wilsons_interval_is_that_of_statsmodels(right: int, more: int) -> None:
    n = right + more
    assert wilson(right / n, n) == pytest.approx(proportion_confint(right, n, method="wilson"), abs=1e-9)


def test_the_interval_counts_recordings_where_their_captions_agree() -> None:
    rng = np.random.default_rng(0)
    by_recording = rng.integers(0, 2, 200).astype(np.float64)
    clusters = np.arange(200)
    five = np.repeat(by_recording, 5), np.repeat(clusters, 5)
    alone = effective_number(by_recording, clusters)
    assert alone == pytest.approx(200, abs=2)
    assert effective_number(*five) == pytest.approx(alone, rel=1e-9)
    independent = rng.integers(0, 2, 1000).astype(np.float64)
    assert effective_number(independent, five[1]) > 800
    assert effective_number(np.ones(10), np.repeat(np.arange(2), 5)) == 2
    assert effective_number(np.array([1.0, 0.0]), np.zeros(2, np.int64)) == 1


@pytest.mark.slow
def test_intervals_of_clustered_shares_hold_what_they_promise() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        chances = np.repeat(rng.beta(2, 2, 60), 5)  # captions of one recording are alike; the mean is 1/2
        share = share_of("text", (rng.random(300) < chances).astype(float), np.repeat(np.arange(60), 5), 0.5)
        held += share.low <= 0.5 <= share.high
    assert stats.binomtest(held, 400, 0.95).pvalue > 0.001


POOL = np.array([[0.9, 0.5, 0.1], [0.1, 0.5, 0.9], [0.4, 0.6, 0.5], [0.3, 0.2, 0.9]], np.float32)
ROWS = np.array([0, 1, 1, 2])


def test_dtus_recalls_by_hand() -> None:
    original = recalls(MatrixScores(torch.from_numpy(POOL)), ROWS)
    assert original["R@1"].tolist() == [1, 0, 1, 1]
    changed = recalls(MatrixScores(torch.from_numpy(POOL[:, ::-1].copy())), ROWS)
    assert changed["R@1"].tolist() == [0, 0, 1, 0]
    shares = recall_shares(original, ROWS, 3)
    assert [(share.measure, share.value, share.chance) for share in shares] == [
        ("R@1", 0.75, pytest.approx(1 / 3)),
        ("R@5", 1.0, 1.0),
        ("R@10", 1.0, 1.0),
    ]
    differences = recall_differences(changed, original, ROWS)
    assert differences[0].measure == "R@1 change"
    assert differences[0].value == -0.5
    expected = stats.ttest_1samp([-1, 0, -1], 0).confidence_interval()
    assert differences[0].high - differences[0].low == pytest.approx(expected.high - expected.low)
    assert np.isnan(differences[0].chance)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: TwinScores(np.ones(2), np.ones(3), np.arange(2)), "give (T,) of all, two or four"),
        (lambda: TwinScores(np.ones(2), np.ones(2), np.arange(2), np.ones(2)), "give (T,) of all, two or four"),
        (lambda: TwinScores(np.ones(0), np.ones(0), np.arange(0)), "are empty or hold NaN"),
        (lambda: TwinScores(np.array([np.nan]), np.ones(1), np.arange(1)), "are empty or hold NaN"),
        (lambda: compa(TwinScores(np.ones(1), np.ones(1), np.arange(1))), "need the twins' recordings"),
    ],
)
def test_bad_scores_are_refused(mistake: Callable[[], object], message: str) -> None:
    with pytest.raises(RelevanceError, match="twins") as caught:
        mistake()
    assert message in str(caught.value)
