"""Composed queries against a loop that takes each query's own recording out of the ranking."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RelevanceError
from evaluation.composed_queries import composed, composed_metrics, ranks_without_own
from evaluation.metrics import first_rank
from evaluation.scores import MatrixScores


def rank_by_loop(scores: list[float], own: int, target: int) -> float:
    """The mean rank of the target over all orders of ties, without the own recording."""
    others = [score for item, score in enumerate(scores) if item not in (own, target)]
    above = sum(score > scores[target] for score in others)
    return above + 1 + sum(score == scores[target] for score in others) / 2


@given(st.data())
def test_the_own_recording_is_left_out(data: st.DataObject) -> None:
    items = data.draw(st.integers(2, 6))
    values = st.lists(st.sampled_from([-1.0, 0.0, 0.5]), min_size=items, max_size=items)  # many ties
    rows = data.draw(st.lists(st.tuples(values, st.permutations(range(items))), min_size=1, max_size=5))
    scores = MatrixScores(torch.tensor([row for row, _ in rows]))
    own, target = (np.array([order[i] for _, order in rows]) for i in (0, 1))
    found = first_rank(ranks_without_own(scores, own, target))
    expected = [rank_by_loop(row, order[0], order[1]) for row, order in rows]
    np.testing.assert_allclose(found, expected)


def unit(count: int, seed: int) -> Any:
    vectors = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return vectors / vectors.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_metrics_are_those_of_the_sum(weight: float) -> None:
    pool, text = unit(7, 0), unit(7, 1)
    own, target = np.arange(7), (np.arange(7) + 3) % 7
    ranks = []
    for q in range(7):
        vector = weight * pool[own[q]].double() + (1 - weight) * text[q].double()
        scores = (pool.double() @ (vector / vector.norm())).tolist()
        ranks.append(rank_by_loop(scores, own[q], target[q]))
    metrics, by_chance = composed_metrics(pool, text, own, target, weight)
    assert metrics["mean_rank"] == pytest.approx(np.mean(ranks))
    assert metrics["R@1"] == pytest.approx(np.mean([rank == 1 for rank in ranks]))
    assert (metrics["items"], by_chance["R@1"], by_chance["mean_rank"]) == (6, pytest.approx(1 / 6), 3.5)


def test_a_collapsed_model_gets_chance() -> None:
    pool = torch.ones(5, 4) / 2
    metrics, by_chance = composed_metrics(pool, pool[:3], np.array([0, 1, 2]), np.array([1, 2, 0]), 0.5)
    for name in ("R@1", "mAP@10", "mean_rank"):
        assert metrics[name] == pytest.approx(by_chance[name])


def test_what_cannot_be_composed_is_refused() -> None:
    with pytest.raises(RelevanceError, match="the weight of the recording is 2: give a number from 0 to 1"):
        composed(unit(2, 0), unit(2, 1), 2)
    with pytest.raises(RelevanceError, match=r"shape \(2, 4\) and texts \(3, 4\)"):
        composed(unit(2, 0), unit(3, 1), 0.5)
    with pytest.raises(RelevanceError, match="are paired twice"):
        ranks_without_own(MatrixScores(torch.zeros(1, 3)), np.array([1]), np.array([1]))
