"""Normalisation of scores: against loops over queries, items and a bank, in blocks; and what a test reports of it."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from common.errors import RelevanceError
from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import evaluate
from evaluation.normalisation import column_log_sums, dual_softmax, qb_norm, sinkhorn
from evaluation.normalised_metrics import (
    METRICS,
    DualSoftmax,
    QBNorm,
    Sinkhorn,
    check_normalisations,
    with_normalisation,
)
from evaluation.ranking import retrieval_metrics
from evaluation.scores import EmbeddingScores, MatrixScores, Scores

QUERIES, ITEMS, BANK = 40, 25, 30


def cosines(rows: int, seed: int) -> np.ndarray:
    """In [-1, 1], with items that attract all queries, as hubs do."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(0, 0.3, (rows, ITEMS)) + np.linspace(-0.3, 0.3, ITEMS), -1, 1).astype(np.float32)


def as_scores(matrix: np.ndarray) -> MatrixScores:
    return MatrixScores(torch.from_numpy(matrix))


def whole(scores: Scores) -> np.ndarray:
    return scores.block(slice(None), slice(None)).double().numpy()


@pytest.mark.parametrize("k", [1, 3])
def test_qb_norm_is_that_of_a_loop(k: int) -> None:
    scores, bank, beta = cosines(QUERIES, 0), cosines(BANK, 1), 20.0
    hubs = {i for row in bank for i in sorted(range(ITEMS), key=lambda i: -row[i])[:k]}
    expected, active = [], 0
    for row in scores.tolist():
        if max(range(ITEMS), key=lambda i: row[i]) not in hubs:
            expected.append(row)
            continue
        active += 1
        sums = [sum(math.exp(beta * other[i]) for other in bank.tolist()) for i in range(ITEMS)]
        quotients = [math.exp(beta * s) / total for s, total in zip(row, sums, strict=True)]
        expected.append([math.log(quotient) / beta for quotient in quotients])
    assert 0 < active < QUERIES  # both kinds of queries are there
    found = whole(qb_norm(as_scores(scores), as_scores(bank), beta, k))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_qb_norm_does_not_read_other_queries() -> None:
    scores, bank = cosines(QUERIES, 0), as_scores(cosines(BANK, 1))
    alone = [whole(qb_norm(as_scores(row[None]), bank))[0] for row in scores]
    assert np.array_equal(whole(qb_norm(as_scores(scores), bank)), alone)


def test_a_small_beta_takes_off_the_mean_of_the_bank_and_a_constant() -> None:
    """The limit: log of the mean of exp(beta s) over beta is the mean of s."""
    scores, bank = cosines(QUERIES, 0), cosines(BANK, 1)
    found = whole(qb_norm(as_scores(scores), as_scores(bank), beta=1e-3, k=ITEMS))
    expected = scores - bank.mean(0, keepdims=True) - math.log(BANK) / 1e-3
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)


def test_dual_softmax_is_that_of_a_loop() -> None:
    scores = cosines(QUERIES, 0).astype(np.float64)
    expected = scores * np.exp(scores / 0.05) / np.exp(scores / 0.05).sum(0, keepdims=True)
    np.testing.assert_allclose(whole(dual_softmax(as_scores(cosines(QUERIES, 0)))), expected, rtol=1e-5)


@pytest.mark.parametrize("iterations", [1, 4])
def test_sinkhorn_is_that_of_a_loop(iterations: int) -> None:
    p = np.exp(cosines(QUERIES, 0).astype(np.float64) / 0.05)
    for _ in range(iterations):
        p /= p.sum(1, keepdims=True)
        p *= QUERIES / ITEMS / p.sum(0, keepdims=True)
    p /= p.sum(1, keepdims=True)
    found = whole(sinkhorn(as_scores(cosines(QUERIES, 0)), 0.05, iterations))
    np.testing.assert_allclose(np.exp(found / 0.05), p, rtol=1e-4)


def test_sums_over_queries_are_exact_in_blocks_and_for_large_exponents(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = torch.Generator().manual_seed(0)
    queries, items = (normalize(torch.randn(n, 8, generator=rng), dim=1) for n in (700, 40))
    expected = (1000 * (queries @ items.T).double()).logsumexp(0)
    monkeypatch.setattr("evaluation.ranks._BLOCK_QUERIES", 64)
    torch.testing.assert_close(column_log_sums(EmbeddingScores(queries, items), 1000.0), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("make", [dual_softmax, sinkhorn])
def test_a_transductive_normalisation_depends_on_the_other_queries(make: Callable[[Scores], Scores]) -> None:
    scores = cosines(QUERIES, 0)
    assert not np.allclose(whole(make(as_scores(scores)))[:5], whole(make(as_scores(scores[:5]))))


def pool() -> tuple[EmbeddingPool, Scores]:
    rng = torch.Generator().manual_seed(0)
    audio = normalize(torch.randn(20, 6, generator=rng), dim=1)
    described = torch.arange(60) % 20
    text = normalize(audio[described] + 0.7 * torch.randn(60, 6, generator=rng), dim=1)
    bank = EmbeddingScores(normalize(torch.randn(50, 6, generator=rng), dim=1), audio)
    return EmbeddingPool.of_texts(audio, [*"abcdefghijklmnopqrst"], text, [str(i) for i in range(60)], described), bank


def test_a_test_reports_normalised_metrics_beside_the_plain_ones() -> None:
    given, bank = pool()
    plain = evaluate("test", given)
    asked: list[int | None] = []
    made = plain
    for normalisation in (QBNorm(beta=10, bank=7), DualSoftmax(), Sinkhorn(iterations=3)):
        made = with_normalisation(made, normalisation, lambda most: asked.append(most) or bank)
    assert asked == [7]  # others do not read the bank
    assert made.scores is plain.scores
    forth, back = made.rankings["text_to_audio"], made.rankings["audio_to_text"]
    expected = retrieval_metrics(qb_norm(plain.scores, bank, 10), torch.arange(60), given.caption_audio)
    for name in METRICS:
        assert np.array_equal(forth.per_query[f"{name}_qb_norm"], expected.per_query[name])
        assert np.isnan(back.per_query[f"{name}_qb_norm"]).all()
        assert np.array_equal(forth.per_query[name], plain.rankings["text_to_audio"].per_query[name])
    turned = retrieval_metrics(dual_softmax(plain.scores.transposed()), given.caption_audio, torch.arange(60))
    assert back.summary()["mAP@10_all_dual_softmax"] == turned.summary()["mAP@10_all"]
    assert forth.summary()["mAP@10_qb_norm"] == expected.summary()["mAP@10"]
    assert forth.chance()["R@5_sinkhorn"] == forth.chance()["R@5"]
    assert [note.partition(":")[0] for note in made.notes] == ["_qb_norm", "_dual_softmax", "_sinkhorn"]
    assert ["transductive" in note for note in made.notes] == [False, True, True]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QBNorm(beta=0), "beta is 0: give a positive number"),
        (lambda: QBNorm(bank=0), "k and bank of QBNorm are 1 and 0: give at least 1"),
        (lambda: DualSoftmax(-1), "temperature is -1: give a positive number"),
        (lambda: Sinkhorn(iterations=0), "iterations of Sinkhorn are 0: give at least 1"),
        (lambda: qb_norm(as_scores(cosines(3, 0)), as_scores(cosines(3, 0).T)), "bank has scores of 3 items, the"),
        (lambda: dual_softmax(as_scores(cosines(3, 0))).transposed(), "normalised scores are of one direction"),
        (
            lambda: check_normalisations([QBNorm(), QBNorm(beta=1)]),
            "qb_norm is given twice; give each normalisation on",
        ),
    ],
)
def test_mistakes_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(RelevanceError, match=message):
        make()
