"""The best window of each recording against a loop."""

import numpy as np
import pytest
import torch

from common.errors import RelevanceError
from evaluation.scores import EmbeddingScores, MatrixScores
from evaluation.window_scores import best_windows


@pytest.mark.parametrize("block_elements", [1, 2**20])
def test_recordings_are_scored_by_their_best_window(block_elements: int) -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 5, 30)
    described = rng.integers(0, 30, 40)
    texts, windows = (torch.tensor(rng.standard_normal((size, 6)), dtype=torch.float32) for size in (40, counts.sum()))
    best, own = best_windows(EmbeddingScores(texts, windows), counts, described, block_elements=block_elements)
    products = (texts @ windows.T).numpy()
    assert best.shape == (40, 30)
    for query in range(40):
        first = 0
        for recording, count in enumerate(counts):
            scores = products[query, first : first + count]
            assert best[query, recording].item() == pytest.approx(max(scores), abs=1e-6)
            if recording == described[query]:
                np.testing.assert_allclose(own[query], scores, atol=1e-6)
            first += count


@pytest.mark.parametrize(
    ("counts", "described", "message"),
    [
        ([2, 2], [0], "counts of windows add up to 4, and 3 are scored"),
        ([3, 0], [0], "counts of windows add up to 3, and 3 are scored: give each, from 1"),
        ([2, 1], [0, 1], "described names 2 recordings for 1 queries"),
        ([2, 1], [2], "described names 1 recordings for 1 queries: give one of each"),
    ],
)
def test_counts_that_do_not_fit_are_refused(counts: list[int], described: list[int], message: str) -> None:
    with pytest.raises(RelevanceError, match=message):
        best_windows(MatrixScores(torch.zeros(1, 3)), np.array(counts), np.array(described))
