"""Ranks and best items against naive sorting: ties, blocks, precision, memory."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from common.errors import RelevanceError
from evaluation.ranking import retrieval_metrics
from evaluation.ranks import _best, count_ranks
from evaluation.scores import EmbeddingScores, MatrixScores
from tests.support.rankings import evaluate_scores, integer_embeddings, random_relevant, random_scores


@pytest.mark.parametrize(("queries", "items", "most"), [(30, 3000, 7), (5, 1, 1), (3, 64, 64), (17, 65, 1)])
def test_untied_ranks_and_best_items_are_those_of_a_sort(queries: int, items: int, most: int) -> None:
    scores, relevant = random_scores(queries, items, 0), random_relevant(queries, items, most, 1)
    order = np.argsort(-scores, axis=1)
    pairs = np.argwhere(relevant)
    np.random.default_rng(2).shuffle(pairs)  # pairs may come in any order

    counts = count_ranks(MatrixScores(torch.tensor(scores)), pairs[:, 0].copy(), torch.tensor(pairs[:, 1]), topk=10)

    assert counts.greater.tolist() == [list(order[q]).index(i) for q, i in pairs]
    assert counts.equal.tolist() == [1] * len(pairs)
    assert counts.topk_items.tolist() == order[:, :10].tolist()
    assert counts.topk_scores.tolist() == np.take_along_axis(scores, order[:, :10], 1).tolist()
    assert (counts.queries, counts.items) == (queries, items)


@pytest.mark.parametrize(("items", "topk"), [(1500, 3), (1500, 40), (100, 10), (7, 10)])
def test_of_tied_items_the_smaller_index_is_listed_first(items: int, topk: int) -> None:
    scores = np.random.default_rng(0).integers(-3, 3, (20, items)).astype(np.float32)
    expected = [np.argsort(-row, kind="stable")[:topk].tolist() for row in scores]
    everything = np.nonzero(np.eye(20, items, dtype=bool) | (np.arange(items) == 0))

    counts = count_ranks(MatrixScores(torch.tensor(scores)), *everything, topk=topk)

    assert counts.topk_items.tolist() == expected
    own = scores[everything]
    assert counts.greater.tolist() == (scores[everything[0]] > own[:, None]).sum(1).tolist()
    assert counts.equal.tolist() == (scores[everything[0]] == own[:, None]).sum(1).tolist()


def test_negative_zero_ties_with_zero() -> None:
    scores = torch.full((1, 64), -1.0)
    scores[0, [3, 5, 7]] = torch.tensor([-0.0, 0.0, 1e-45])
    assert _best(scores, 4)[0].tolist() == [[7, 3, 5, 0]]


def test_ranks_and_best_items_come_from_the_same_scores() -> None:
    queries, items = (torch.randn(n, 512, generator=torch.Generator().manual_seed(n)) for n in (200, 500))
    best = count_ranks(EmbeddingScores(queries, items), np.arange(200), np.arange(200)).topk_items
    again = count_ranks(EmbeddingScores(queries, items), torch.arange(200).repeat_interleave(10), best.flatten())
    assert again.greater.view(200, 10).tolist() == [list(range(10))] * 200
    assert again.equal.tolist() == [1] * 2000


def test_the_block_size_changes_nothing() -> None:
    queries, items = integer_embeddings(70, 150)
    pairs = np.nonzero(random_relevant(70, 150, 5, 0))
    whole = count_ranks(EmbeddingScores(queries, items), *pairs)
    for block_elements in (1, 20 * 192, 33 * 192, 64 * 192):
        blocked = count_ranks(EmbeddingScores(queries, items), *pairs, block_elements=block_elements)
        for name in ("greater", "equal", "topk_items", "topk_scores"):
            assert torch.equal(getattr(blocked, name), getattr(whole, name)), (name, block_elements)


@pytest.mark.parametrize("chunk", [64, 128, 448])
def test_items_tie_with_their_copies_in_other_chunks(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, items = (torch.randn(n, 100, generator=torch.Generator().manual_seed(n)) for n in (90, 73))
    pairs = np.arange(90), np.arange(90) % 511
    whole = count_ranks(EmbeddingScores(queries, items.repeat(7, 1)), *pairs, topk=511)
    monkeypatch.setattr("evaluation.ranks._CHUNK_ITEMS", chunk)
    chunked = count_ranks(EmbeddingScores(queries, items.repeat(7, 1)), *pairs, topk=511)
    assert chunked.equal.tolist() == [7] * 90
    assert (chunked.greater % 7 == 0).all()
    for name in ("greater", "equal", "topk_items", "topk_scores"):
        assert torch.equal(getattr(chunked, name), getattr(whole, name)), name


class Largest(TorchDispatchMode):
    """The bytes of the largest tensor made under it, not counting views of given ones."""

    def __init__(self, *given: torch.Tensor) -> None:
        super().__init__()
        self.given, self.bytes = {tensor.untyped_storage().data_ptr() for tensor in given}, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in self.given:
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize("last", [1.0, torch.nan])
def test_memory_is_one_block_of_scores(last: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluation.ranks._CHUNK_ITEMS", 1024)
    queries, items = (torch.randn(n, 128, generator=torch.Generator().manual_seed(n)) for n in (300, 10_001))
    items[-1, -1] = last
    with Largest(queries, items) as largest, nullcontext() if last == 1 else pytest.raises(RelevanceError):
        count_ranks(EmbeddingScores(queries, items), np.arange(300), np.arange(300), block_elements=2**18)
    assert 0 < largest.bytes <= 4 * 2**18  # 1 MiB, where the scores are 12 and the items 5


def test_the_order_of_items_and_of_queries_changes_nothing() -> None:
    queries, items = integer_embeddings(40, 150)
    query, item = np.nonzero(random_relevant(40, 150, 5, 0))
    before = retrieval_metrics(EmbeddingScores(queries, items), query, item)
    place = np.random.default_rng(0).permutation(150)  # item i moves to place[i]
    moved = retrieval_metrics(EmbeddingScores(queries, items[np.argsort(place)]), query, place[item])
    place_of_query = np.random.default_rng(1).permutation(40)
    shuffled = retrieval_metrics(
        EmbeddingScores(queries[np.argsort(place_of_query)], items), place_of_query[query], item
    )
    for name, values in before.per_query.items():
        np.testing.assert_array_equal(moved.per_query[name], values)
        np.testing.assert_array_equal(shuffled.per_query[name][place_of_query], values)
    np.testing.assert_array_equal(moved.topk_scores, before.topk_scores)


@pytest.mark.parametrize("transform", [lambda s: 2 * s + 100, lambda s: s**3, lambda s: np.exp(s / 5) - 50])
def test_only_the_order_of_scores_counts(transform: Callable[[np.ndarray], np.ndarray]) -> None:
    scores = np.random.default_rng(0).integers(-20, 20, (25, 90)).astype(np.float32)
    relevant = random_relevant(25, 90, 5, 0)
    before, after = evaluate_scores(scores, relevant), evaluate_scores(transform(scores), relevant)
    for name, values in before.per_query.items():
        np.testing.assert_array_equal(after.per_query[name], values)
    np.testing.assert_array_equal(after.topk_items, before.topk_items)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_embeddings_are_scored_in_fp32(dtype: torch.dtype) -> None:
    queries, items = (torch.randn(n, 32, generator=torch.Generator().manual_seed(n)).to(dtype) for n in (40, 200))
    pairs = np.arange(40), np.arange(40)
    half, lifted = (
        count_ranks(EmbeddingScores(queries, items), *pairs),
        count_ranks(EmbeddingScores(queries.float(), items.float()), *pairs),
    )
    assert torch.equal(half.greater, lifted.greater)
    assert torch.equal(half.topk_scores, lifted.topk_scores)
    assert half.topk_scores.dtype == torch.float32


def test_a_lowered_precision_of_the_run_is_kept_out_and_left_as_it_was() -> None:
    queries, items = (torch.randn(n, 512, generator=torch.Generator().manual_seed(n)) for n in (256, 1024))
    pairs = np.arange(256), np.arange(256)
    full = count_ranks(EmbeddingScores(queries, items), *pairs)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            lowered = count_ranks(EmbeddingScores(queries, items), *pairs)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(lowered.topk_scores, full.topk_scores)
    assert torch.equal(lowered.greater, full.greater)


def test_embeddings_that_require_gradients_can_be_ranked() -> None:
    queries, items = (torch.randn(4, 3, requires_grad=True) for _ in range(2))
    assert not count_ranks(EmbeddingScores(queries, items), np.arange(4), np.arange(4)).topk_scores.requires_grad


EMBEDDED = {"queries": torch.eye(3), "items": torch.eye(3)}
PAIRS = {"relevant_query": np.arange(3), "relevant_item": np.arange(3)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": torch.full((3, 3), torch.nan)}, "queries: embedding 0 holds NaN or inf"),
        ({"items": torch.eye(3) / torch.tensor([1.0, 1, 0])}, "items: embedding 0 holds NaN or inf"),
        ({"queries": torch.eye(3) * 1e38, "items": torch.eye(3) * 10}, "overflow fp32 scores: normalise"),
        ({"queries": torch.eye(3, dtype=torch.float64) * 1e39}, "overflow fp32 scores: normalise"),
        ({"queries": torch.eye(3).long()}, r"queries are torch.int64 of shape \(3, 3\): give floating"),
        ({"items": torch.ones(3)}, r"items are torch.float32 of shape \(3,\)"),
        ({"items": torch.ones(0, 3)}, r"items are torch.float32 of shape \(0, 3\)"),
        ({"items": torch.ones(3, 4)}, "queries have 3 dimensions and items 4"),
        ({"items": torch.ones(3, 3, device="meta")}, "queries are on cpu and items on meta"),
        ({"relevant_query": np.array([0, 1, 1])}, r"1 of 3 queries have no relevant item \(first: 2\)"),
        ({"relevant_query": np.array([0, 1, 3])}, r"relevant_query holds 3, beyond 0\.\.2"),
        ({"relevant_item": np.array([0, -1, 2])}, r"relevant_item holds -1, beyond 0\.\.2"),
        ({"relevant_item": np.arange(2)}, "give two int64 arrays of one length"),
        ({"relevant_item": np.arange(3.0)}, "give two int64 arrays of one length"),
        (
            {"relevant_query": np.array([0, 1, 2, 1]), "relevant_item": np.array([0, 2, 1, 2])},
            "query 1 and item 2 are paired twice",
        ),
        ({"topk": 0}, "topk is 0"),
        ({"block_elements": 0}, "block_elements is 0"),
        ({"share": (2, 2)}, r"share is \(2, 2\): give \(r, W\) with r from 0 to W-1"),
        ({"share": (-1, 2)}, r"share is \(-1, 2\)"),
    ],
)
def test_bad_input_to_ranks_is_named(change: dict[str, Any], message: str) -> None:
    embedded = {name: change.get(name, default) for name, default in EMBEDDED.items()}
    others = {name: value for name, value in change.items() if name not in EMBEDDED}
    with pytest.raises(RelevanceError, match=message) as caught:
        count_ranks(EmbeddingScores(**embedded), **{**PAIRS, **others})
    assert "\n" not in str(caught.value)
