"""Scores of every kind: the same metrics from a product, a matrix and a function; selections; what is refused."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from common.errors import RelevanceError
from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import evaluate
from evaluation.gated_scores import GatedScores
from evaluation.ndcg import ndcg, ndcg_from_scores
from evaluation.ranking import retrieval_metrics
from evaluation.ranks import best_items, count_ranks
from evaluation.scores import EmbeddingScores, FunctionScores, MatrixScores, Scores

QUERIES, ITEMS = 70, 150


def integers(*shape: int, seed: int) -> Tensor:
    """Small integers, whose products are exact in any order of summation, with many ties."""
    return torch.randint(-3, 4, shape, generator=torch.Generator().manual_seed(seed)).float()


def product(queries: Tensor, items: Tensor) -> Tensor:
    return queries @ items.T


def best_of_vectors(queries: Tensor, items: Tensor) -> Tensor:
    """Items have several vectors (N, E, D); the best one counts."""
    return torch.einsum("qd,ned->qne", queries, items).amax(2)


def two_kinds(kind: str) -> tuple[Scores, Tensor]:
    """Scores of a kind and the matrix (Q, N) they should hold."""
    queries, items = integers(QUERIES, 12, seed=0), integers(ITEMS, 12, seed=1)
    vectors = integers(ITEMS, 3, 12, seed=2)
    match kind:
        case "embeddings":
            return EmbeddingScores(queries, items), queries @ items.T
        case "matrix":
            return MatrixScores((queries @ items.T).double()), queries @ items.T
        case "function":
            return FunctionScores(product, queries, items), queries @ items.T
        case "gated":
            weights = (1 + torch.arange(QUERIES) % 2)[:, None].expand(QUERIES, 2).float()
            present = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])[torch.arange(ITEMS) % 3]
            packed = torch.cat([queries, weights], 1), torch.cat([items, present], 1)
            return GatedScores(*packed, 2), queries @ items.T / (weights @ present.T)
        case _:
            return FunctionScores(best_of_vectors, queries, vectors), best_of_vectors(queries, vectors)


KINDS = ("embeddings", "matrix", "function", "gated", "several vectors")
PAIRS = np.arange(QUERIES), np.arange(QUERIES) * 2 % ITEMS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block_elements", [1, 33 * 192, 2**26])
@pytest.mark.parametrize("chunk", [64, 2**14])
def test_every_kind_has_the_ranks_of_its_matrix(
    kind: str, block_elements: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluation.ranks._CHUNK_ITEMS", chunk)
    scores, matrix = two_kinds(kind)
    found = count_ranks(scores, *PAIRS, block_elements=block_elements)
    own = matrix[PAIRS][:, None]
    assert found.greater.tolist() == (matrix > own).sum(1).tolist()
    assert found.equal.tolist() == (matrix == own).sum(1).tolist()
    order = (-matrix).argsort(stable=True, dim=1)[:, :10]  # of equal ones the first is first
    assert torch.equal(found.topk_items, order)
    assert torch.equal(found.topk_scores, matrix.gather(1, order))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_metrics_of_its_matrix_both_ways(kind: str) -> None:
    scores, matrix = two_kinds(kind)
    for given, expected, pairs in ((scores, matrix, PAIRS), (scores.transposed(), matrix.T, None)):
        pairs = pairs or (np.arange(ITEMS), np.arange(ITEMS) % QUERIES)
        ours, theirs = (retrieval_metrics(each, *pairs) for each in (given, MatrixScores(expected)))
        assert ours.summary() == theirs.summary()
        gains = torch.rand(expected.shape, generator=torch.Generator().manual_seed(3))
        graded = ndcg_from_scores(given, gains.__getitem__, block_elements=33 * 192)
        torch.testing.assert_close(graded, ndcg(expected, gains), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_scores_are_parts_of_the_matrix(kind: str) -> None:
    scores, matrix = two_kinds(kind)
    assert (scores.queries, scores.items, scores.device.type) == (QUERIES, ITEMS, "cpu")
    assert torch.equal(scores.block(slice(3, 9), slice(60, None)), matrix[3:9, 60:])
    rows, columns = torch.tensor([5, 0, 5]), torch.tensor([149, 2])
    for part, expected in (
        (scores.select(rows), matrix[rows]),
        (scores.select(rows, columns), matrix[rows][:, columns]),
        (scores.transposed().select(columns), matrix.T[columns]),
    ):
        block = part.block(slice(None), slice(None))
        assert torch.equal(block, expected)
        assert block.dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_items_are_those_of_the_ranking(kind: str) -> None:
    scores, _ = two_kinds(kind)
    counts = count_ranks(scores, *PAIRS, topk=7)
    items, values = best_items(scores, 7)
    assert torch.equal(items, counts.topk_items)
    assert torch.equal(values, counts.topk_scores)
    assert best_items(scores.select(torch.tensor([0])), 1000)[0].shape == (1, ITEMS)


def test_a_function_is_called_with_one_shape_in_float32_whatever_autocast_says() -> None:
    calls = []

    def recorded(queries: Tensor, items: Tensor) -> Tensor:
        scores = queries @ items.T
        calls.append((queries.shape, items.shape, scores.dtype))
        return scores

    scores = FunctionScores(recorded, torch.randn(50, 8).bfloat16(), torch.randn(130, 8).bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for share in range(3):
            count_ranks(scores, np.arange(50), np.arange(50), block_elements=1, share=(share, 3))
    assert len(calls) == 4  # blocks of 16 queries
    assert set(calls) == {(torch.Size([16, 8]), torch.Size([192, 8]), torch.float32)}


def test_scores_of_a_function_take_no_more_than_a_block_of_memory() -> None:
    most = 0

    def recorded(queries: Tensor, items: Tensor) -> Tensor:
        nonlocal most
        most = max(most, len(queries) * len(items))
        return queries @ items.T

    scores = FunctionScores(recorded, torch.randn(3000, 4), torch.randn(3000, 4))
    count_ranks(scores, np.arange(3000), np.arange(3000), block_elements=2**18)
    assert 0 < most <= 2**18


def pool(seed: int = 0, relevance: Tensor | None = None) -> EmbeddingPool:
    audio, text = integers(6, 5, seed=seed), integers(12, 5, seed=seed + 1)
    described = torch.arange(12) % 6
    return EmbeddingPool.of_texts(
        audio, [*"abcdef"], text, [f"caption {i}" for i in range(12)], described, relevance=relevance
    )


def test_an_evaluation_is_of_the_scores_that_are_given() -> None:
    ranked = pool(relevance=torch.rand(6, 6, generator=torch.Generator().manual_seed(0)))
    by_product = evaluate("test", ranked)
    by_matrix = evaluate("test", ranked, MatrixScores(ranked.text @ ranked.audio.T))
    opposite = evaluate("test", ranked, MatrixScores(-ranked.text @ ranked.audio.T))
    for direction, ranking in by_product.rankings.items():
        assert ranking.summary() == by_matrix.rankings[direction].summary()
        assert ranking.summary() != opposite.rankings[direction].summary()
        assert ranking.chance() == opposite.rankings[direction].chance()
        assert list(ranking.per_query)[-1] == list(ranking.summary())[-1] == list(ranking.chance())[-1] == "nDCG@10"


def test_without_known_relevance_there_is_no_graded_metric() -> None:
    assert all(not ranking.further for ranking in evaluate("test", pool()).rankings.values())


def test_a_part_of_a_pool_keeps_the_relevance_of_its_recordings() -> None:
    relevance = torch.rand(6, 6, generator=torch.Generator().manual_seed(0))
    part = pool(relevance=relevance).only({"b", "e"})
    assert part.relevance is not None
    assert torch.equal(part.relevance, relevance[[1, 4]][:, [1, 4]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MatrixScores(torch.ones(3)), r"scores are torch.float32 of shape \(3,\): give a floating \(Q, N\)"),
        (lambda: MatrixScores(torch.ones(3, 2).long()), "scores are torch.int64"),
        (lambda: MatrixScores(torch.ones(3, 0)), "give a floating"),
        (lambda: count_ranks(MatrixScores(torch.tensor([[0.0, torch.inf]])), *one_pair()), "scores hold NaN or inf"),
        (lambda: count_ranks(MatrixScores(torch.tensor([[torch.nan, 0.0]])), *one_pair()), "scores hold NaN or inf"),
        (
            lambda: FunctionScores(product, torch.full((1, 1), torch.nan), torch.ones(1, 1)),
            "queries: embedding 0 holds",
        ),
        (lambda: EmbeddingScores(torch.ones(1, 1, 1), torch.ones(1, 1, 1)), r"give embeddings \(count, D\)"),
        (
            lambda: GatedScores(torch.ones(2, 3), torch.tensor([[1.0, 1, 1], [1, 0, 0]]), 2),
            "item 1 has no expert at all",
        ),
        (lambda: GatedScores(torch.ones(1, 3), torch.ones(1, 3), 3), r"give both \(count, D \+ 3\)"),
        (lambda: GatedScores(torch.ones(1, 3), torch.ones(1, 4), 2), r"\(1, 3\) and \(1, 4\): give both"),
        (lambda: count_ranks(wrong(lambda q, i: q), *one_pair()), r"gave \(16, 2\) for 16 queries and 64 items"),
        (lambda: count_ranks(wrong(lambda q, i: q @ i.T / 0), *one_pair()), "scores hold NaN or inf"),
        (lambda: count_ranks(MatrixScores(torch.zeros(()).expand(1, 2**24 + 1)), *one_pair()), "exact up to 16777216"),
    ],
)
def test_what_cannot_be_ranked_is_refused_in_one_line(make: Callable[[], object], message: str) -> None:
    with pytest.raises(RelevanceError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def one_pair() -> tuple[np.ndarray, np.ndarray]:
    return np.array([0]), np.array([0])


def wrong(function: Callable[[Tensor, Tensor], Tensor]) -> FunctionScores:
    return FunctionScores(function, torch.ones(1, 2), torch.ones(3, 2))
