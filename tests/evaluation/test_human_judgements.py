"""Human judgements: metrics against loops, scipy, scikit-learn and ranx, and what is not in the pool."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import ndcg_score

from common.errors import RelevanceError
from evaluation.human_judgements import agreement_with_lists, agreement_with_ratings, match, rank_correlations
from evaluation.scores import EmbeddingScores, MatrixScores


def embeddings(queries: int, items: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return torch.randn(queries, 6), torch.randn(items, 6)


def drawn_pairs(queries: int, items: int, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Each query with 2 to `most` items, in no order."""
    rng = np.random.default_rng(seed)
    pairs = [(q, i) for q in range(queries) for i in rng.choice(items, rng.integers(2, most + 1), replace=False)]
    return tuple(np.array(pairs, dtype=np.int64)[rng.permutation(len(pairs))].T)  # type: ignore[return-value]


def test_lists_agree_with_ranx_and_with_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # read when ranx is imported: compiling it would take long
    from ranx import Qrels, Run, evaluate

    queries, items = embeddings(30, 50, seed=1)
    query, item = drawn_pairs(30, 50, most=20, seed=2)
    agreement = agreement_with_lists(EmbeddingScores(queries, items), query, item)

    scores = (queries.double() @ items.double().T).numpy()
    relevant = [set(item[query == q].tolist()) for q in range(30)]
    qrels = Qrels({f"q{q}": {f"i{i}": 1 for i in relevant[q]} for q in range(30)})
    run = Run({f"q{q}": {f"i{i}": float(s) for i, s in enumerate(row)} for q, row in enumerate(scores)})
    theirs = evaluate(qrels, run, ["map@16", "recall@10"])
    assert agreement.means["mAP@16_all"] == pytest.approx(theirs["map@16"])
    assert agreement.means["R@10"] == pytest.approx(theirs["recall@10"])

    for q, row in enumerate(scores):
        found, precisions = 0, []
        for place, i in enumerate(np.argsort(-row)[:16], start=1):
            if i in relevant[q]:
                found += 1
                precisions.append((place, found / place))
        first_ten = [precision for place, precision in precisions if place <= 10]
        assert agreement.per_query["AP@16_all"][q] == pytest.approx(sum(p for _, p in precisions) / len(relevant[q]))
        assert agreement.per_query["AP@10"][q] == pytest.approx(sum(first_ten) / max(len(first_ten), 1))


def test_a_constant_scorer_gets_the_chance_of_lists_which_is_that_of_random_orders() -> None:
    query, item = drawn_pairs(4, 40, most=8, seed=3)
    agreement = agreement_with_lists(MatrixScores(torch.ones(4, 40)), query, item)
    assert agreement.means == pytest.approx(agreement.chance)

    rng = np.random.default_rng(4)
    sums = np.zeros(4)
    for _ in range(3000):
        places = rng.permutation(40)
        for q in range(4):
            ranks = np.sort(places[item[query == q]]) + 1
            sums[q] += sum((n + 1) / rank for n, rank in enumerate(ranks) if rank <= 16) / len(ranks)
    assert agreement.per_query_chance["AP@16_all"] == pytest.approx(sums / 3000, abs=0.01)
    assert agreement.chance["R@10"] == pytest.approx(10 / 40)


def rated(queries: int, items: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    query, item = drawn_pairs(queries, items, most=17, seed=seed)
    rating = np.random.default_rng(seed).integers(0, 5, len(query)) / 4  # many ties
    for q in range(queries):
        rating[np.flatnonzero(query == q)[:2]] = 0.25, 0.75
    return query, item, rating


def test_ratings_agree_with_scipy_and_scikit_learn() -> None:
    queries, items = embeddings(25, 40, seed=5)
    items[1::2] = items[::2]  # every item has a twin that scores the same
    query, item, rating = rated(25, 40, seed=6)
    agreement = agreement_with_ratings(EmbeddingScores(queries, items), query, item, rating)
    for q in range(25):
        mine = query == q
        scores, given = (queries[q] @ items[item[mine] // 2 * 2].T).double().numpy(), rating[mine]
        scores = scores.round(4)  # twins scored apart differ in their last bits
        if len(set(scores)) > 1:
            assert agreement.per_query["spearman"][q] == pytest.approx(stats.spearmanr(scores, given).statistic)
            assert agreement.per_query["kendall_tau_b"][q] == pytest.approx(stats.kendalltau(scores, given).statistic)
        assert agreement.per_query["nDCG@10"][q] == pytest.approx(ndcg_score([given], [scores], k=10))
        blind = ndcg_score([given], [np.zeros(len(given))], k=10)
        assert agreement.per_query_chance["nDCG@10"][q] == pytest.approx(blind)
    assert agreement.chance["spearman"] == agreement.chance["kendall_tau_b"] == 0


def test_the_ratings_themselves_agree_best_and_a_constant_scorer_is_at_chance() -> None:
    query, item, rating = rated(6, 20, seed=7)
    truth = torch.zeros(6, 20)
    truth[query, item] = torch.from_numpy(rating).float()
    best = agreement_with_ratings(MatrixScores(truth), query, item, rating)
    assert list(best.means.values()) == pytest.approx([1, 1, 1])
    worst = agreement_with_ratings(MatrixScores(-truth), query, item, rating)
    assert [worst.means["spearman"], worst.means["kendall_tau_b"]] == pytest.approx([-1, -1])
    constant = agreement_with_ratings(MatrixScores(torch.ones(6, 20)), query, item, rating)
    assert constant.means == pytest.approx(constant.chance)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4)), min_size=2, max_size=17))
def test_rank_correlations_agree_with_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=float).T
    rho, tau = rank_correlations(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert (rho, tau) == (0, 0)
    else:
        assert rho == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
        assert tau == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize(
    ("item", "rating", "message"),
    [
        ([0, 1, 2, 0], [0.1, 0.2, 0.5, 0.5], "query 1: its ratings are all equal"),
        ([0, 1, 2, 0], [0.1, np.nan, 0.5, 0.7], "finite and >= 0"),
        ([0, 1, 2, 0], [0.1, -0.2, 0.5, 0.7], "finite and >= 0"),
        ([0, 1, 2, 0], [0.1, 0.2], r"ratings \(2,\) for 4 pairs"),
        ([0, 1, 3, 0], [0.1, 0.2, 0.5, 0.7], "relevant_item holds 3"),
        ([0, 0, 2, 0], [0.1, 0.2, 0.5, 0.7], "paired twice"),
    ],
)
def test_bad_ratings_are_refused(item: list[int], rating: list[float], message: str) -> None:
    query = np.array([0, 0, 1, 1])
    with pytest.raises(RelevanceError, match=message) as caught:
        agreement_with_ratings(EmbeddingScores(*embeddings(2, 3, seed=8)), query, np.array(item), np.array(rating))
    assert "\n" not in str(caught.value)


def test_what_is_not_in_the_pool_is_counted() -> None:
    grades = {
        "rain": {"a.wav": 0.5, "b.wav": 0.1, "gone.wav": 1.0},
        "a dog": {"b.wav": 0.2, "lost.wav": 0.9},
        "wind": {"gone.wav": 0.3},
        "nobody said this": {"a.wav": 1.0},
    }
    captions, names = ["a dog", "rain ", "rain", "wind"], [" a.wav", "b.wav", "a.wav"]
    found = match(grades, captions, names)
    assert found.caption.tolist() == [1, 0]
    assert [*zip(found.query, found.item, found.grade, strict=True)] == [(0, 2, 0.5), (0, 1, 0.1), (1, 1, 0.2)]
    assert found.counts == {
        "queries_listed": 4,
        "queries_not_in_split": 1,
        "queries_left_out": 1,
        "queries": 2,
        "items_listed": 4,
        "items_not_in_split": 2,
        "items": 3,
        "pairs_listed": 7,
        "pairs": 3,
    }
    assert match(grades, captions, names, ordered=True).caption.tolist() == [1]
    assert match({}, captions, names).query.tolist() == []
