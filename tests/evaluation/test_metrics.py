"""Ranking metrics against naive sorting, all orders of tied items, ranx and torchmetrics."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.retrieval import RetrievalMAP

from common.errors import RelevanceError
from evaluation.metrics import average_precision, chance, first_rank, hit_rate, per_query, recall, tied
from evaluation.ndcg import ndcg
from evaluation.ranking import retrieval_metrics
from evaluation.scores import EmbeddingScores
from evaluation.ties import chance_groups, tie_groups
from tests.support.rankings import (
    evaluate_scores,
    metrics_of_order,
    ndcg_of_order,
    orders,
    random_relevant,
    random_scores,
)


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
