"""Ranks and ranking metrics against naive sorting, all orders of tied items, ranx, torchmetrics and scikit-learn."""

import itertools
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torchmetrics.retrieval import RetrievalMAP

from common.errors import RelevanceError
from evaluation.metrics import average_precision, chance, first_rank, hit_rate, per_query, recall, tied
from evaluation.ndcg import ndcg, ndcg_from_scores
from evaluation.ranking import RankingResult, retrieval_metrics
from evaluation.ranks import _best, count_ranks
from evaluation.scores import EmbeddingScores, MatrixScores
from evaluation.ties import chance_groups, tie_groups


def evaluate_scores(scores: np.ndarray, relevant: np.ndarray, **options: Any) -> RankingResult:
    """Metrics of scores (Q, N) with a boolean matrix of relevant items (Q, N)."""
    query, item = np.nonzero(relevant)
    return retrieval_metrics(MatrixScores(torch.tensor(scores, dtype=torch.float32)), query, item, **options)


def random_scores(queries: int, items: int, seed: int) -> np.ndarray:
    """Scores in [-1, 1], no two of a query equal."""
    scores = np.linspace(-1, 1, items, dtype=np.float32)
    return np.random.default_rng(seed).permuted(np.tile(scores, (queries, 1)), axis=1)


def random_relevant(queries: int, items: int, most: int, seed: int) -> np.ndarray:
    """1 to `most` relevant items for each query."""
    rng = np.random.default_rng(seed)
    relevant = np.zeros((queries, items), dtype=bool)
    for row in relevant:
        row[rng.choice(items, rng.integers(1, most + 1), replace=False)] = True
    return relevant


def metrics_of_order(hits: list[bool], k: int) -> dict[str, float]:
    """Textbook metrics of one ranking: hits[p] says whether the item at place p is relevant."""
    precisions = [sum(hits[: p + 1]) / (p + 1) for p in range(min(k, len(hits))) if hits[p]]
    return {
        "retrieved": sum(precisions) / len(precisions) if precisions else 0.0,
        "all": sum(precisions) / sum(hits),
        "recall": len(precisions) / sum(hits),
        "hit": float(bool(precisions)),
        "first": hits.index(True) + 1,
    }


def ndcg_of_order(gains: list[float], k: int) -> float:
    def dcg(values: list[float]) -> float:
        return sum(gain / math.log2(place + 2) for place, gain in enumerate(values[:k]))

    return dcg(gains) / dcg(sorted(gains, reverse=True))


def orders(scores: list[float]) -> list[tuple[int, ...]]:
    """All rankings that the scores allow."""
    every = itertools.permutations(range(len(scores)))
    return [order for order in every if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))]


# ------------------------------------------------------------------------------------------------------------ ranks


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


def integer_embeddings(queries: int, items: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings whose products are exact in any order of summation, with many ties."""
    rng = torch.Generator().manual_seed(0)
    left, right = (torch.randint(-3, 4, (n, 12), generator=rng).float() for n in (queries, items))
    return left, right


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


# ---------------------------------------------------------------------------------------------------------- metrics


@pytest.mark.parametrize("k", [1, 3, 10, 200])
def test_untied_metrics_are_those_of_a_sort(k: int) -> None:
    scores, relevant = random_scores(40, 120, 3), random_relevant(40, 120, 9, 4)
    columns = evaluate_scores(scores, relevant, ks=(k,), map_at=k).per_query
    for q, order in enumerate(np.argsort(-scores, axis=1)):
        expected = metrics_of_order(list(relevant[q, order]), k)
        assert columns[f"AP@{k}"][q] == pytest.approx(expected["retrieved"], abs=1e-12)
        assert columns[f"AP@{k}_all"][q] == pytest.approx(expected["all"], abs=1e-12)
        assert columns[f"R@{k}"][q] == pytest.approx(expected["recall"], abs=1e-12)
        assert columns[f"hit@{k}"][q] == expected["hit"]
        assert columns["first_rank"][q] == expected["first"]
        assert columns["tied"][q] == 0


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_ties_get_the_mean_over_all_orders(data: st.DataObject) -> None:
    items = data.draw(st.integers(1, 6))
    k = data.draw(st.integers(1, 7))
    scores = data.draw(st.lists(st.sampled_from([-1.0, 0.0, 0.5]), min_size=items, max_size=items))
    relevant = data.draw(st.lists(st.booleans(), min_size=items, max_size=items).filter(any))
    gains = [float(g) for g in data.draw(st.lists(st.integers(0, 3), min_size=items, max_size=items).filter(any))]

    possible = orders(scores)
    each = [metrics_of_order([relevant[item] for item in order], k) for order in possible]
    expected = {name: np.mean([values[name] for values in each]) for name in each[0]}

    result = evaluate_scores(np.array([scores]), np.array([relevant]), ks=(k,), map_at=k)
    groups = result.groups
    for got, name in (
        (average_precision(groups, k), "retrieved"),
        (average_precision(groups, k, "all"), "all"),
        (recall(groups, k), "recall"),
        (hit_rate(groups, k), "hit"),
        (first_rank(groups), "first"),
    ):
        assert got == pytest.approx([expected[name]], abs=1e-12), name
    others = [scores.count(scores[item]) > 1 for item in range(items) if relevant[item]]
    assert tied(groups).tolist() == [any(others)]
    expected_ndcg = np.mean([ndcg_of_order([gains[item] for item in order], k) for order in possible])
    assert ndcg(torch.tensor([scores]), torch.tensor([gains]), k).tolist() == pytest.approx([expected_ndcg], abs=1e-12)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_many_tied_queries_at_once_are_each_as_alone(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    scores, relevant = rng.integers(0, 4, (12, 30)).astype(np.float32), random_relevant(12, 30, 8, seed)
    together = evaluate_scores(scores, relevant, ks=(k,), map_at=k).per_query
    for q in range(12):
        alone = evaluate_scores(scores[q : q + 1], relevant[q : q + 1], ks=(k,), map_at=k).per_query
        for name, values in together.items():
            assert values[q] == pytest.approx(alone[name][0], abs=1e-12), name


@pytest.mark.parametrize(("items", "dimension"), [(7, 3), (33, 24), (257, 100), (1045, 512)])
def test_a_collapsed_model_gets_exactly_chance(items: int, dimension: int) -> None:
    rng = torch.Generator().manual_seed(0)
    queries = torch.randn(50, dimension, generator=rng)
    collapsed = torch.randn(1, dimension, generator=rng).expand(items, -1)
    single = retrieval_metrics(EmbeddingScores(queries, collapsed), np.arange(50), np.arange(50) % items)
    expected = chance(items)
    assert single.summary() == pytest.approx({**expected, "queries": 50}, rel=1e-12)
    assert single.summary() == single.chance()

    several = retrieval_metrics(EmbeddingScores(queries, collapsed), *np.nonzero(random_relevant(50, items, 5, 0)))
    assert several.summary() == several.chance()
    assert several.summary()["tie_rate"] == 1


def test_chance_has_its_textbook_values() -> None:
    one, five = chance(1045), chance(5225, relevant=5)
    assert one["R@5"] == pytest.approx(5 / 1045, rel=1e-12)
    assert one["hit@5"] == pytest.approx(5 / 1045, rel=1e-12)
    assert one["mAP@10"] == one["mAP@10_all"] == pytest.approx(sum(1 / r for r in range(1, 11)) / 1045, rel=1e-12)
    assert one["median_rank"] == one["mean_rank"] == 523
    assert five["R@10"] == pytest.approx(10 / 5225, rel=1e-12)
    assert five["hit@10"] == pytest.approx(1 - math.comb(5220, 10) / math.comb(5225, 10), rel=1e-10)
    assert five["mean_rank"] == 5226 / 6
    assert chance(3, relevant=3) == pytest.approx({**dict.fromkeys(chance(3), 1.0), "R@1": 1 / 3, "items": 3})


def test_chance_is_what_random_scores_get_on_average() -> None:
    relevant = np.zeros((20_000, 40), dtype=bool)
    relevant[:, :5] = True
    drawn = evaluate_scores(np.random.default_rng(0).random((20_000, 40)).astype(np.float32), relevant).summary()
    for name, value in chance(40, relevant=5).items():
        if name.startswith(("mAP", "R@", "hit", "mean")):
            assert drawn[name] == pytest.approx(value, rel=0.05), name


def test_summary_holds_means_over_queries_under_the_agreed_names() -> None:
    scores = np.array([[3.0, 2, 1, 0], [0, 1, 2, 3], [1, 1, 0, 0]], dtype=np.float32)
    relevant = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=bool)
    result = evaluate_scores(scores, relevant, ks=(1, 3), map_at=3, topk=2)
    # First ranks: 1, 3, 1.5. The second query finds one of its two at rank 3, the third is first or second.
    assert result.summary() == pytest.approx(
        {
            "mAP@3": (1 + 1 / 3 + 0.75) / 3,
            "mAP@3_all": (1 + 1 / 6 + 0.75) / 3,
            "R@1": 0.5,
            "R@3": (1 + 0.5 + 1) / 3,
            "hit@1": 0.5,
            "hit@3": 1,
            "median_rank": 1.5,
            "mean_rank": 5.5 / 3,
            "tie_rate": 1 / 3,
            "queries": 3,
            "items": 4,
        }
    )
    assert list(result.chance()) == list(result.summary()) == list(chance(4, ks=(1, 3), map_at=3))
    assert result.topk_items.tolist() == [[0, 1], [3, 2], [0, 1]]
    assert result.topk_scores.tolist() == [[3, 2], [3, 2], [1, 1]]


def test_ranx_agrees_where_it_defines_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # read when ranx is imported: compiling it would take 40 s
    from ranx import Qrels, Run, evaluate

    scores, relevant = random_scores(30, 60, 5), random_relevant(30, 60, 5, 6)
    names = [f"q{q}" for q in range(30)]
    qrels = Qrels({q: {str(i): 1 for i in np.flatnonzero(row)} for q, row in zip(names, relevant, strict=True)})
    run = Run({q: {str(i): float(s) for i, s in enumerate(row)} for q, row in zip(names, scores, strict=True)})
    theirs = evaluate(qrels, run, ["map@10", "recall@5", "recall@10", "hit_rate@1", "hit_rate@10", "ndcg@10"])
    ours = evaluate_scores(scores, relevant).summary()
    pairs = {"map@10": "mAP@10_all", "recall@5": "R@5", "recall@10": "R@10", "hit_rate@1": "hit@1"}
    for their_name, our_name in {**pairs, "hit_rate@10": "hit@10"}.items():
        assert ours[our_name] == pytest.approx(theirs[their_name], abs=1e-9), our_name
    graded = ndcg(torch.tensor(scores), torch.tensor(relevant).float(), 10)
    assert graded.mean().item() == pytest.approx(theirs["ndcg@10"], abs=1e-9)


def test_torchmetrics_agrees_on_positive_scores() -> None:
    scores, relevant = random_scores(25, 50, 7), random_relevant(25, 50, 5, 8)
    scores = scores + 2  # torchmetrics drops relevant items that score 0 or less
    theirs = RetrievalMAP(top_k=10)(
        torch.tensor(scores).flatten(),
        torch.tensor(relevant).flatten(),
        indexes=torch.arange(25).repeat_interleave(50),
    )
    assert evaluate_scores(scores, relevant).summary()["mAP@10"] == pytest.approx(theirs.item(), abs=1e-6)


# ------------------------------------------------------------------------------------------------------------- ndcg


@pytest.mark.parametrize("k", [1, 4, 10, 40, 100])
@pytest.mark.parametrize("values", [3, 10_000])
def test_ndcg_is_that_of_scikit_learn(k: int, values: int) -> None:
    rng = np.random.default_rng(0)
    scores, gains = rng.integers(-values, values, (30, 40)).astype(np.float32), rng.random((30, 40))
    ours = ndcg(torch.tensor(scores), torch.tensor(gains), k)
    assert ours.dtype == torch.float64
    assert ours.mean().item() == pytest.approx(ndcg_score(gains, scores, k=k, ignore_ties=False), abs=1e-12)


def test_ndcg_without_any_gain_is_nan() -> None:
    result = ndcg(torch.tensor([[1.0, 2.0], [1.0, 2.0]]), torch.tensor([[0.0, 0.0], [0.0, 1.0]]), 2)
    assert result.isnan().tolist() == [True, False]


@pytest.mark.parametrize("block_elements", [1, 40 * 192, 2**24])
def test_ndcg_from_scores_is_that_of_their_product(block_elements: int) -> None:
    queries, items = integer_embeddings(70, 150)
    gains = torch.rand(70, 150, generator=torch.Generator().manual_seed(0))
    blocked = ndcg_from_scores(
        EmbeddingScores(queries, items), lambda rows: gains[rows], 10, block_elements=block_elements
    )
    torch.testing.assert_close(blocked, ndcg(queries @ items.T, gains, 10), rtol=0, atol=1e-12)


# ------------------------------------------------------------------------------------------------------- bad input

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


def test_bad_input_to_metrics_is_named() -> None:
    one = np.array([1])
    groups = tie_groups(np.array([0]), np.array([0]), one)
    with pytest.raises(RelevanceError, match="normaliser is 'none': give one of retrieved, all"):
        average_precision(groups, 10, "none")  # type: ignore[arg-type]
    with pytest.raises(RelevanceError, match="cut-off k is 0"):
        per_query(groups, ks=(0,))
    with pytest.raises(RelevanceError, match="query 0 has no relevant item"):
        tie_groups(one, one, one)
    for greater, equal in (([-1], [1]), ([0], [0]), ([0, 0], [2, 3]), ([0, 0], [1, 1])):
        with pytest.raises(RelevanceError, match="counts contradict each other"):
            tie_groups(np.zeros(len(equal), dtype=np.int64), np.array(greater), np.array(equal))
    for total in (0, 4):
        with pytest.raises(RelevanceError, match="give 1 to the pool's 3"):
            chance_groups(3, np.array([total]))


@pytest.mark.parametrize(
    ("scores", "gains", "k", "message"),
    [
        (torch.ones(1, 2), torch.ones(1, 3), 1, r"scores \(1, 2\) and gains \(1, 3\)"),
        (torch.ones(1, 2), torch.ones(1, 2), 0, "cut-off k is 0"),
        (torch.tensor([[torch.nan, 1]]), torch.ones(1, 2), 1, "scores hold NaN or inf"),
        (torch.ones(1, 2), torch.tensor([[-1.0, 1]]), 1, "gains hold NaN, inf or negative"),
        (torch.ones(1, 2), torch.tensor([[torch.inf, 1]]), 1, "gains hold NaN, inf or negative"),
    ],
)
def test_bad_input_to_ndcg_is_named(scores: torch.Tensor, gains: torch.Tensor, k: int, message: str) -> None:
    with pytest.raises(RelevanceError, match=message):
        ndcg(scores, gains, k)
