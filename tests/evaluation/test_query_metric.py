"""Metrics of one's own beside the built-in ones, alone and shared by two processes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from common.directions import DIRECTIONS
from common.errors import RelevanceError
from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import Evaluation, evaluate
from evaluation.query_metric import QueryMetric, check_metrics
from lightning_modules.distributed import sharded_metrics
from tests.support.own_metrics import BestScore, Constant, ReciprocalRank
from tests.support.ranks import on_ranks

AUDIO, CAPTIONS = 7, 21


def pool(relevance: Tensor | None = None) -> EmbeddingPool:
    rng = torch.Generator().manual_seed(3)
    audio, text = (normalize(torch.randn(n, 4, generator=rng), dim=1) for n in (AUDIO, CAPTIONS))
    described = torch.arange(CAPTIONS) % AUDIO
    return EmbeddingPool(audio, torch.arange(AUDIO), text, torch.arange(CAPTIONS), described, relevance=relevance)


def evaluated(*metrics: QueryMetric, **options: Any) -> Evaluation:
    return evaluate("test", pool(), metrics=metrics, **options)


def test_values_are_columns_and_their_means_are_in_the_summary_beside_chance() -> None:
    result = evaluated(ReciprocalRank(), BestScore(2.0))
    scores = (pool().text @ pool().audio.T).double().numpy()
    for direction, matrix in zip(DIRECTIONS, (scores, scores.T), strict=True):
        ranking = result.rankings[direction]
        columns, summary, chance = ranking.per_query, ranking.summary(), ranking.chance()
        np.testing.assert_array_equal(columns["ReciprocalRank"], 1 / columns["first_rank"])
        assert summary["ReciprocalRank"] == pytest.approx(np.mean(1 / columns["first_rank"]))
        assert np.isnan(columns["best*2"][0])
        np.testing.assert_allclose(columns["best*2"][1:], 2 * matrix.max(1)[1:], rtol=1e-5)
        assert summary["best*2"] == pytest.approx(2 * matrix.max(1)[1:].mean(), rel=1e-5)
        assert chance["best*2"] == 0
        relevant = CAPTIONS // AUDIO if direction == "audio_to_text" else 1
        assert chance["ReciprocalRank"] == pytest.approx((relevant + 1) / (matrix.shape[1] + 1))


def test_metrics_stand_beside_graded_ones_and_leave_all_others_as_they_are() -> None:
    graded = pool(torch.eye(AUDIO))
    plain, more = evaluate("test", graded), evaluate("test", graded, metrics=[ReciprocalRank()])
    assert "nDCG@10" in plain.rankings["text_to_audio"].summary()
    for direction in DIRECTIONS:
        with_own = more.rankings[direction].summary()
        with_own.pop("ReciprocalRank")
        assert with_own == plain.rankings[direction].summary()


def shared_out(rank: int) -> dict[str, Any]:
    result = evaluated(ReciprocalRank(), BestScore(), rank=sharded_metrics)
    return {side: torch.tensor([*ranking.summary().values()]) for side, ranking in result.rankings.items()}


@pytest.mark.slow
def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    alone = shared_out(0)
    for ranks in on_ranks(shared_out, tmp_path):
        for side, values in alone.items():
            assert torch.equal(ranks[side], values)


@pytest.mark.parametrize(
    ("values", "message"), [([0.5], r"shape \(1,\) for 21 queries"), ([np.inf] * CAPTIONS, "some infinite")]
)
def test_other_than_one_finite_value_a_query_is_refused(values: list[float], message: str) -> None:
    with pytest.raises(RelevanceError, match=message):
        evaluated(Constant(values))


@pytest.mark.parametrize("name", ["mAP@10", "AP@10", "first_rank", "R_geo", "nDCG@10", "query", "own"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(RelevanceError, match=rf"the name {name} is taken"):
        check_metrics([Constant(0, "own"), Constant(0, name)])


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "top10_x"])
def test_a_name_that_cannot_be_logged_is_refused(name: str) -> None:
    with pytest.raises(RelevanceError, match="cannot be a metric's name"):
        check_metrics([Constant(0, name)])


def test_no_value_at_all_is_nan() -> None:
    class Nothing(QueryMetric):
        def __call__(self, ranked: Any) -> Any:
            return np.full(ranked.scores.queries, np.nan)

    assert np.isnan(evaluated(Nothing()).rankings["audio_to_text"].summary()["Nothing"])
