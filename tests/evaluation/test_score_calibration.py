"""Bins of scores against a loop over pairs."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from common.errors import RelevanceError
from evaluation.analyses.score_calibration import EDGES, bins_of_pairs, bins_of_scores
from evaluation.scores import MatrixScores


def naive(scores: np.ndarray, relevance: np.ndarray) -> list[tuple[int, float]]:
    """Pairs and mean relevance of each bin."""
    found = []
    for i, (low, high) in enumerate(pairwise(EDGES)):
        own = []
        for score, value in zip(scores.ravel(), relevance.ravel(), strict=True):
            above = score >= low or i == 0
            below = score < high or i == len(EDGES) - 2
            if above and below and not np.isnan(value):
                own.append(float(value))
        found.append((len(own), sum(own) / len(own) if own else float("nan")))
    return found


def test_blocks_give_what_a_loop_gives() -> None:
    rng = np.random.default_rng(0)
    matrix = torch.from_numpy(rng.uniform(-1.2, 1.2, (37, 21))).float()
    relevance = rng.random((37, 21))
    relevance[rng.random((37, 21)) < 0.3] = np.nan
    bins = bins_of_scores(MatrixScores(matrix), lambda rows: torch.from_numpy(relevance[rows]))
    expected = naive(matrix.double().numpy(), relevance)
    assert bins.pairs.tolist() == [pairs for pairs, _ in expected]
    np.testing.assert_allclose(bins.mean_relevance, [mean for _, mean in expected])
    known = ~np.isnan(relevance)
    assert bins.scores.sum() == pytest.approx(float(matrix.double().numpy()[known].sum()))


def test_bins_of_two_sets_add_up() -> None:
    scores, relevance = np.random.default_rng(1).random((2, 50))
    whole = bins_of_pairs(scores, relevance)
    parts = bins_of_pairs(scores[:20], relevance[:20]) + bins_of_pairs(scores[20:], relevance[20:])
    np.testing.assert_allclose(whole.mean_relevance, parts.mean_relevance)
    np.testing.assert_allclose(whole.mean_score, parts.mean_score)


@pytest.mark.parametrize(("scores", "relevance"), [([0.1], [0.1, 0.2]), ([np.nan], [0.1])])
def test_what_does_not_fit_is_refused(scores: list[float], relevance: list[float]) -> None:
    with pytest.raises(RelevanceError, match="give both for each pair"):
        bins_of_pairs(np.array(scores), np.array(relevance))
