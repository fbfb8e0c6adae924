"""Reranking: against a loop, with candidates by score alone, and at chance where the scores are random."""

import numpy as np
import pytest
import torch

from common.errors import RelevanceError
from evaluation.ranking import retrieval_metrics
from evaluation.ranks import count_ranks
from evaluation.reranked_scores import RerankedScores
from evaluation.scores import MatrixScores, Scores
from tests.support.rankings import random_scores


def order_by_loop(first: np.ndarray, second: np.ndarray, top: int, weight: float) -> list[int]:
    """One query's items, best first: the candidates by the mixed score, then the others."""
    by_first = sorted(range(len(first)), key=lambda i: -first[i])
    candidates, others = by_first[:top], by_first[top:]
    return sorted(candidates, key=lambda i: -((1 - weight) * first[i] + weight * second[i])) + others


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("top", [1, 7, 40, 100])
def test_candidates_are_reordered_and_stay_before_the_others(top: int, weight: float) -> None:
    first = random_scores(30, 40, 0)
    second = np.random.default_rng(1).normal(-5, 3, first.shape).astype(np.float32)  # of another scale and place
    scores = RerankedScores(MatrixScores(torch.from_numpy(first)), MatrixScores(torch.from_numpy(second)), top, weight)
    found = count_ranks(scores, np.arange(30), np.arange(30), topk=40, block_elements=1)
    assert found.topk_items.tolist() == [order_by_loop(a, b, top, weight) for a, b in zip(first, second, strict=True)]
    if weight == 0:
        assert torch.equal(found.topk_items, torch.from_numpy(first).argsort(descending=True))


def test_each_direction_has_candidates_of_its_own() -> None:
    first, second = torch.from_numpy(random_scores(6, 9, 0)), torch.from_numpy(random_scores(6, 9, 1))
    back = RerankedScores(MatrixScores(first), MatrixScores(second), 3, 1.0).transposed()
    direct = RerankedScores(MatrixScores(first.T), MatrixScores(second.T), 3, 1.0)
    assert torch.equal(back.block(slice(None), slice(None)), direct.block(slice(None), slice(None)))


def test_items_that_tie_with_the_last_candidate_are_candidates_too() -> None:
    second = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    scores = RerankedScores(MatrixScores(torch.tensor([[0.9, 0.5, 0.5, 0.1]])), MatrixScores(second), 2, 1.0)
    assert scores.block(slice(None), slice(None)).argsort(descending=True).tolist() == [[2, 1, 0, 3]]


@pytest.mark.parametrize("random", ["first", "second", "both"])
def test_random_scores_stay_at_chance_in_both_directions(random: str) -> None:
    """A reranking that touched the right candidates alone would lift them: all of the first k are taken or none."""
    clips, captions, top = 100, 500, 50
    described = np.arange(captions) // 5
    truth = np.zeros((captions, clips), dtype=np.float32)
    truth[np.arange(captions), described] = 1.0
    noise = [torch.from_numpy(random_scores(captions, clips, seed)) for seed in (0, 1)]
    known = MatrixScores(torch.from_numpy(truth) + 0.01 * noise[1])
    first: Scores = MatrixScores(noise[0]) if random != "second" else known
    second: Scores = MatrixScores(noise[1]) if random != "first" else known
    scores = RerankedScores(first, second, top, weight=1.0)
    for given, query, item in (
        (scores, np.arange(captions), described),
        (scores.transposed(), described, np.arange(captions)),
    ):
        result = retrieval_metrics(given, query, item)
        found, chance = result.summary()["R@1"], result.chance()["R@1"]
        if random == "both":
            assert found == pytest.approx(chance, abs=4 * np.sqrt(chance / given.queries))
        elif random == "second":  # the right ones are candidates, and are shuffled among the k
            assert found == pytest.approx(1 / top, abs=4 * np.sqrt(1 / top / given.queries))
        else:  # no better than how many right ones the random first method lets through
            candidates = top / given.items * (5 if given.items == captions else 1)
            assert result.summary()["hit@1"] <= min(1.0, candidates) + 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "top is 0: give at least 1 candidate"),
        ({"weight": 1.5}, "the weight of the second method is 1.5: give a number from 0 to 1"),
        ({"weight": float("nan")}, "the weight of the second method is nan"),
    ],
)
def test_other_options_are_refused(options: dict[str, float], message: str) -> None:
    scores = MatrixScores(torch.eye(3))
    with pytest.raises(RelevanceError, match=message):
        RerankedScores(scores, scores, **options)  # type: ignore[arg-type]
