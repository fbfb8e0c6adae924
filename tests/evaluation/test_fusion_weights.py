"""The search for weights: the best point of the grid, by brute force."""

import itertools

import numpy as np
import pytest
import torch

from evaluation import fusion_weights
from evaluation.fused_scores import FusedScores
from evaluation.fusion_weights import best_weights, held, weight_grid
from evaluation.ranking import retrieval_metrics
from evaluation.scores import EmbeddingScores, MatrixScores
from tests.support.rankings import random_scores


def mean_ap(matrix: np.ndarray, own: np.ndarray) -> float:
    ranks = [1 + sum(row > row[i]) for row, i in zip(matrix, own, strict=True)]
    return float(np.mean([1 / rank if rank <= 10 else 0 for rank in ranks]))


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_the_grid_holds_every_tenth_and_sums_to_one(runs: int) -> None:
    tenths = itertools.product(range(11), repeat=runs)
    wanted = {tuple(n / 10 for n in point) for point in tenths if sum(point) == 10}
    grid = weight_grid(runs)
    assert {*grid} == wanted
    spread = [sum((weight - 1 / runs) ** 2 for weight in point) for point in grid]
    assert spread == pytest.approx(sorted(spread))


@pytest.mark.parametrize("runs", [4, 6, 9])
def test_many_runs_have_a_coarser_grid(runs: int) -> None:
    grid = weight_grid(runs)
    assert runs <= len(grid) <= 300
    assert len({*grid}) == len(grid)
    assert np.allclose(np.sum(grid, axis=1), 1)
    assert tuple(np.eye(runs)[0]) in grid  # each run alone is among them


@pytest.mark.parametrize("most", [0, 2**27])
def test_the_best_weights_are_found(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion_weights, "HELD_ELEMENTS", most)
    own = np.arange(60) % 30
    signal = np.zeros((60, 30), dtype=np.float32)
    signal[np.arange(60), own] = 1
    made = [random_scores(60, 30, seed) + strength * signal for seed, strength in ((0, 0.3), (1, 0.8), (2, 0.0))]
    parts = [MatrixScores(torch.from_numpy(each)) for each in made]
    weights, reached = best_weights(parts, np.arange(60), own)
    every = {
        point: mean_ap(sum(w * each for w, each in zip(point, made, strict=True)), own) for point in weight_grid(3)
    }
    assert reached == pytest.approx(max(every.values()))
    assert reached == retrieval_metrics(FusedScores(parts, weights), np.arange(60), own).summary()["mAP@10"]
    assert weights[1] > weights[0] > weights[2]


def test_equal_runs_get_equal_weights() -> None:
    part = MatrixScores(torch.from_numpy(random_scores(20, 10, 0)))
    assert best_weights([part, part], np.arange(20), np.arange(20) % 10)[0] == [0.5, 0.5]


def test_scores_are_held_as_they_are() -> None:
    rng = torch.Generator().manual_seed(0)
    scores = EmbeddingScores(torch.randn(50, 6, generator=rng), torch.randn(33, 6, generator=rng))
    pairs = np.arange(50), np.arange(50) % 33
    kept = held(scores)
    assert kept.matrix.shape == (50, 33)
    assert retrieval_metrics(kept, *pairs).summary() == retrieval_metrics(scores, *pairs).summary()
