"""Scores of two stages against a loop over queries, in both directions; what they cost."""

import numpy as np
import pytest
import torch
from torch import Tensor

from common.errors import RelevanceError
from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import evaluate
from evaluation.ranks import count_ranks
from evaluation.scores import EmbeddingScores, MatrixScores
from evaluation.two_stage_scores import TwoStageScores

QUERIES, ITEMS, TOP = 37, 90, 7


def embedded(count: int, seed: int) -> Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def second(queries: Tensor, items: Tensor) -> Tensor:
    """Of pairs, with some of each other's order turned around."""
    return torch.cos(3 * (queries * items).sum(1)) - 5


def two_stages(top: int = TOP) -> TwoStageScores:
    queries, items = embedded(QUERIES, 0), embedded(ITEMS, 1)
    return TwoStageScores(EmbeddingScores(queries, items), second, queries, items, top)


def order_by_hand(first: np.ndarray, again: np.ndarray, top: int) -> list[int]:
    """Items of a query, best first."""
    best = sorted(range(len(first)), key=lambda item: -first[item])
    return sorted(best[:top], key=lambda item: -again[item]) + best[top:]


def test_order_of_both_directions_against_a_loop() -> None:
    scores = two_stages()
    queries, items = embedded(QUERIES, 0), embedded(ITEMS, 1)
    first = (queries @ items.T).numpy()
    again = np.array([[float(second(q[None], i[None])) for i in items] for q in queries])
    for found, one, two in ((scores, first, again), (scores.transposed(), first.T, again.T)):
        whole = found.block(slice(None), slice(None))
        ranks = count_ranks(found, np.arange(len(one)), np.zeros(len(one), np.int64), topk=12)
        for query in range(len(one)):
            expected = order_by_hand(one[query], two[query], TOP)
            assert whole[query].argsort(descending=True).tolist() == expected
            assert ranks.topk_items[query].tolist() == expected[:12]
            assert int(ranks.greater[query]) == expected.index(0)


def test_others_keep_their_scores_and_differences_of_the_second_stage_stay() -> None:
    scores, queries, items = two_stages(), embedded(QUERIES, 0), embedded(ITEMS, 1)
    first, whole = queries @ items.T, scores.block(slice(None), slice(None))
    best = first.topk(TOP).indices
    others = torch.ones_like(first).scatter(1, best, 0).bool()
    assert torch.equal(whole[others], first[others])
    rows = torch.arange(QUERIES)[:, None].expand(-1, TOP)
    again = second(queries[rows].flatten(0, 1), items[best].flatten(0, 1)).view(-1, TOP)
    torch.testing.assert_close(whole.gather(1, best) - whole.gather(1, best)[:, :1], again - again[:, :1])


def test_selections_and_a_top_of_all_items() -> None:
    scores = two_stages(ITEMS + 5)
    queries, items = embedded(QUERIES, 0), embedded(ITEMS, 1)
    rows = torch.arange(QUERIES).repeat_interleave(ITEMS)
    expected = second(queries[rows], items.repeat(QUERIES, 1)).view(QUERIES, ITEMS)
    torch.testing.assert_close(scores.block(slice(3, 9), slice(2, 50)), expected[3:9, 2:50])
    some, others = torch.tensor([4, 2]), torch.tensor([50, 3, 8])
    found = scores.select(some, others)
    torch.testing.assert_close(found.block(slice(None), slice(None)), expected[some][:, others])


def test_items_that_the_second_stage_cannot_tell_apart_tie() -> None:
    items = embedded(ITEMS, 1)
    items[::2] = items[0]
    first = MatrixScores(torch.rand(4, ITEMS, generator=torch.Generator().manual_seed(0)))
    found = TwoStageScores(first, second, embedded(4, 0), items, 40).block(slice(None), slice(None))
    for row, before in zip(found, first.matrix, strict=True):
        best = set(before.topk(40).indices.tolist())
        same = [float(row[i]) for i in best if i % 2 == 0]
        assert len(same) > 5
        assert len(set(same)) == 1


def test_each_pair_is_scored_once_and_counted() -> None:
    calls: list[int] = []

    def counted(queries: Tensor, items: Tensor) -> Tensor:
        assert len(queries) == len(items)
        calls.append(len(queries))
        return second(queries, items)

    queries, items = embedded(QUERIES, 0), embedded(ITEMS, 1)
    scores = TwoStageScores(EmbeddingScores(queries, items), counted, queries, items, TOP)
    assert scores.cost() == {"reranked_pairs": 0.0, "rerank_seconds": 0.0}
    described = torch.arange(QUERIES)
    ids = described, queries, described, described
    pool = EmbeddingPool(items[:QUERIES], *ids, relevance=torch.eye(QUERIES))
    scores = TwoStageScores(EmbeddingScores(queries, items[:QUERIES]), counted, queries, items[:QUERIES], TOP)
    evaluate("test", pool, scores)
    assert scores.cost()["reranked_pairs"] == 2 * QUERIES * TOP
    assert scores.cost()["rerank_seconds"] > 0
    assert len(set(calls)) == 1  # the same shape each time
    assert scores.transposed() is scores.transposed()
    assert scores.transposed().transposed() is scores


def test_shares_of_the_queries_are_those_of_one_process() -> None:
    relevant = np.arange(QUERIES), np.zeros(QUERIES, np.int64)
    whole = count_ranks(two_stages(), *relevant, block_elements=16 * ITEMS)
    shares = [count_ranks(two_stages(), *relevant, block_elements=16 * ITEMS, share=(r, 3)) for r in range(3)]
    assert torch.equal(sum(share.greater for share in shares), whole.greater)  # type: ignore[arg-type]
    assert torch.equal(sum(share.topk_scores for share in shares), whole.topk_scores)  # type: ignore[arg-type]


def test_what_cannot_be_scored_again() -> None:
    queries, items = embedded(3, 0), embedded(4, 1)
    first = EmbeddingScores(queries, items)
    with pytest.raises(RelevanceError, match=r"^top is 0: give at least 1"):
        TwoStageScores(first, second, queries, items, 0)
    with pytest.raises(RelevanceError, match=r"^the first stage scores 3 queries and 4 items, but 3 and 3 are given"):
        TwoStageScores(first, second, queries, items[:3], 2)
    broken = TwoStageScores(first, lambda q, i: q[:, 0] * torch.nan, queries, items, 2)
    with pytest.raises(RelevanceError, match=r"^scores hold NaN or inf"):
        broken.block(slice(None), slice(None))
