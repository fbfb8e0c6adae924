"""The analysis of runs against what is counted plainly of their pools."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import RunError
from evaluation.analyses.query_groups import Grouping
from evaluation.embedding_pool import EmbeddingPool
from evaluation.normalisation import qb_norm
from evaluation.scores import EmbeddingScores
from experiments.analyses.analysis import analyse
from experiments.analyses.calibration import calibration
from experiments.analyses.errors import near_misses, shares_right
from experiments.analyses.hubs import NORMALISED, PLAIN, Bank, hubs
from experiments.analyses.performance import performance
from experiments.analyses.runs import Method, read_methods
from experiments.analyses.sources import DataFacts, sources_of
from experiments.results.human_judgements import HumanJudgements
from experiments.results.pool_file import read_pool
from tests.support.compared import CAPTIONS, NAMES, rewrite, write_run


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """An experiment of two runs, and one run of a better method."""
    for seed in (0, 1):
        write_run(tmp_path / "base" / str(seed), NAMES, seed, 1.0, ndcg=True)
    write_run(tmp_path / "better" / "0", NAMES, 5, 2.0, ndcg=True)
    return [tmp_path / "base", tmp_path / "better"]


@pytest.fixture
def methods(folders: list[Path]) -> list[Method]:
    return read_methods(folders, "test")


def pool_of(folder: Path) -> EmbeddingPool:
    """In the order of ids, which `write_run` gives by name and text."""
    return read_pool(folder / "pool_test.safetensors").in_order()


def matrix_of(folder: Path) -> np.ndarray:
    pool = pool_of(folder)
    return (pool.text @ pool.audio.T).numpy()


def test_the_best_recordings_are_those_of_the_scores(methods: list[Method]) -> None:
    assert [method.name for method in methods] == ["base", "better"]
    assert methods[0].names == tuple(sorted(NAMES))
    for method in methods:
        for run in method.runs:
            scores = matrix_of(run.folder)
            assert run.best.tolist() == np.argsort(-scores, axis=1)[:, :10].tolist()
            np.testing.assert_allclose(run.scores, -np.sort(-scores, axis=1)[:, :10], atol=1e-6)
            missed = [row for row, own in enumerate(method.own) if own not in run.best[row]]
            assert run.errors(method.own).tolist() == missed
            assert (run.first_rank[missed] > 10).all()


def test_performance_of_a_group_is_the_mean_of_its_queries(methods: list[Method]) -> None:
    inside = np.arange(len(methods[0].own)) % 3 == 1
    rows = performance(methods, [Grouping("third", {"second": inside})])
    values = [method.queries.scores["R@1"].mean(0)[inside] for method in methods]
    (base, better, change) = [row for row in rows if row.metric == "R@1"]
    assert (base.result.mean, better.result.mean) == pytest.approx((values[0].mean(), values[1].mean()))
    assert (change.method, change.minus) == ("better", "base")
    assert change.result.mean == pytest.approx((values[1] - values[0]).mean())
    assert change.p_holm == change.result.p
    assert change.result.recordings == inside.sum() == len(NAMES)
    assert {row.metric for row in rows} == {"mAP@10", "R@1", "R@10", "nDCG@10"}


def test_differences_are_corrected_over_all_groups_of_a_pair(methods: list[Method]) -> None:
    place = np.arange(len(methods[0].own)) % CAPTIONS
    groups = Grouping("caption", {str(i): place == i for i in range(CAPTIONS)})
    changes = [row for row in performance(methods, [groups]) if row.minus and row.metric == "mAP@10"]
    smallest = min(changes, key=lambda row: row.result.p)
    assert smallest.p_holm == pytest.approx(min(1, CAPTIONS * smallest.result.p))


def test_hubs_and_what_qb_norm_does_to_them(methods: list[Method]) -> None:
    folder = methods[1].runs[0].folder
    bank = Bank(torch.randn(40, 8, generator=torch.Generator().manual_seed(0)), "40 captions")
    rows = hubs(methods, "test", {folder: bank})
    assert [(row.method, row.scores) for row in rows] == [
        ("base", PLAIN),
        ("base", PLAIN),
        ("better", PLAIN),
        ("better", NORMALISED),
    ]
    pool = pool_of(folder)
    for row, scores in (
        (rows[2], EmbeddingScores(pool.text, pool.audio)),
        (rows[3], qb_norm(EmbeddingScores(pool.text, pool.audio), EmbeddingScores(bank.text, pool.audio), 20.0)),
    ):
        matrix = scores.block(slice(0, len(pool.text)), slice(0, len(pool.audio))).numpy()
        best = np.argsort(-matrix, axis=1)[:, :10]
        assert row.occurrences.tolist() == np.bincount(best.ravel(), minlength=len(NAMES)).tolist()
        assert row.recall == pytest.approx((best == pool.caption_audio.numpy()[:, None]).any(1).mean())


def test_a_validation_pool_is_a_bank(folders: list[Path], methods: list[Method]) -> None:
    write_run(folders[1] / "0", [f"v {name}" for name in NAMES[:12]], 8, 2.0, split="validation")
    rows = hubs(methods, "test", {})
    assert [row.bank for row in rows] == ["", "", "", "36 validation captions"]


def test_calibration_is_that_of_all_pairs(methods: list[Method]) -> None:
    known = np.random.default_rng(0).random((len(NAMES), len(NAMES))).astype(np.float32)
    sources = sources_of(methods[0], DataFacts(known=known), [])
    rows = {(row.method, row.source): row for row in calibration(methods, sources, "test")}
    own = methods[0].own
    for method in methods:
        scores = np.concatenate([matrix_of(run.folder).ravel() for run in method.runs])
        for source, relevance in (("annotated", np.eye(len(NAMES))[own]), ("known", known[own])):
            row = rows[method.name, source]
            repeated = np.tile(relevance.ravel(), len(method.runs))
            assert (row.runs, row.bins.pairs.sum()) == (len(method.runs), scores.size)
            inside = (scores >= 0.5) & (scores < 0.55)
            assert row.bins.pairs[30] == inside.sum()
            assert row.bins.mean_relevance[30] == pytest.approx(repeated[inside].mean(), abs=1e-6)


def test_near_misses_and_whether_they_are_right(methods: list[Method]) -> None:
    method = methods[0]
    known = np.random.default_rng(0).random((len(NAMES), len(NAMES))).astype(np.float32)
    _, source = sources_of(method, DataFacts(known=known), [])
    rows = near_misses(method, [source])
    run = method.runs[0]
    errors = run.errors(method.own)
    mine = [row for row in rows if row.run == run.folder]
    assert len(mine) == 3 * len(errors) > 0
    for place, row in enumerate(mine[:3]):
        item = int(run.best[errors[0], place])
        own = int(method.own[errors[0]])
        assert (row.query, row.place, row.item) == (method.queries.queries[errors[0]], place + 1, method.names[item])
        assert (row.own, row.own_rank) == (method.names[own], run.first_rank[errors[0]])
        assert row.relevance["known"] == pytest.approx(known[own, item])
        assert row.captions.count(" | ") == CAPTIONS - 1
        assert all(method.names[item] in caption for caption in row.captions.split(" | "))
    share = shares_right(method, [source])[0]
    best = known[method.own[errors], run.best[errors, 0]] >= 0.5
    assert share.found is not None
    assert (share.errors, share.found.best) == (len(errors), pytest.approx(best.mean()))


def test_lists_and_ratings_know_some_queries(methods: list[Method]) -> None:
    method = methods[0]
    run = method.runs[0]
    first, second = run.errors(method.own)[:2].tolist()
    texts = [method.queries.queries[row] for row in (first, second)]
    names = [method.names[run.best[row, 0]] for row in (first, second)]
    other = next(name for name in method.names if name not in (*names, method.names[method.own[second]]))
    lists = HumanJudgements("relevant_clips", "test", "lists.csv", {}, {texts[0]: {names[0]: 1.0}})
    rated = HumanJudgements("ratings", "test", "ratings", {}, {texts[1]: {names[1]: 0.2, other: 0.9}})
    sources = sources_of(method, DataFacts(), [lists, rated])[1:]
    listed, of_ratings = (row.found for row in shares_right(method, sources)[:2])
    assert listed is not None
    assert of_ratings is not None
    assert (listed.errors, listed.best, listed.best_chance) == (1, 1.0, pytest.approx(1 / (len(NAMES) - 1)))
    assert (of_ratings.errors, of_ratings.best, of_ratings.best_chance) == (1, 0.0, 0.5)
    relevance = {m.query: m.relevance for m in near_misses(method, sources) if (m.run, m.place) == (run.folder, 1)}
    assert relevance[texts[0]] == {"listed": 1.0}
    assert relevance[texts[1]] == {"rated": 0.2}


def test_without_embeddings_only_calibration_is_missing(folders: list[Path], methods: list[Method]) -> None:
    for folder in folders:
        for pool in folder.glob("*/pool_test.safetensors"):
            pool.unlink()
    found = analyse(methods, "test", DataFacts())
    assert found.calibration == []
    assert found.notes == ["no run holds embeddings of the split, so scores are not calibrated"]
    assert len(found.hubs) == 3
    assert found.groups
    assert found.near_misses


def test_a_table_without_best_items_is_refused(folders: list[Path]) -> None:
    rewrite(folders[1] / "0" / "queries_test.parquet", lambda table: table.drop_columns(["top10_ids"]))
    with pytest.raises(RunError, match="has no column top10_ids, the best items of each query"):
        read_methods(folders, "test")
