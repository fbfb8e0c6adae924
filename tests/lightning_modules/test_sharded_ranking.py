"""Ranking shared out over two and three gloo processes against one process, field by field and bit by bit."""

from dataclasses import asdict
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from common.errors import RelevanceError
from evaluation.ranking import RankingResult, retrieval_metrics
from evaluation.ranks import count_ranks
from evaluation.scores import EmbeddingScores, FunctionScores, MatrixScores, Scores
from lightning_modules import distributed as sharded_ranking
from lightning_modules.distributed import sharded_metrics
from tests.support.ranks import on_ranks

Pool = tuple[Scores, Tensor, Tensor]  # and relevant_query, relevant_item


def pairs_of(queries: int, items: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """One to four relevant items a query, in no order."""
    relevant = torch.rand(queries, items, generator=rng).argsort(1)[:, : min(4, items)]
    kept = torch.rand(relevant.shape, generator=rng) < 0.5
    kept[:, 0] = True
    query, place = kept.nonzero()[torch.randperm(int(kept.sum()), generator=rng)].T
    return query.contiguous(), relevant[query, place]


def tying_pool(queries: int, items: int, seed: int = 0) -> Pool:
    """Small integers: products are exact, and many tie."""
    rng = torch.Generator().manual_seed(seed)
    embeddings = (torch.randint(-2, 3, (count, 5), generator=rng).float() for count in (queries, items))
    return EmbeddingScores(*embeddings), *pairs_of(queries, items, rng)


def best_of_vectors(queries: Tensor, items: Tensor) -> Tensor:
    return torch.einsum("qed,nfd->qnef", queries, items).amax((2, 3))


def pool_of(name: str) -> Pool:
    """Pools of as many blocks as the comments say; a block has 512 queries at most."""
    rng = torch.Generator().manual_seed(1)
    match name:
        case "ties":  # 3
            return tying_pool(1301, 150)
        case "random":  # 4, some items twice
            items = torch.randn(120, 100, generator=rng)[torch.arange(150) % 120]
            return EmbeddingScores(torch.randn(1540, 100, generator=rng), items), *pairs_of(1540, 150, rng)
        case "collapsed":  # 2
            scores = EmbeddingScores(torch.randn(600, 24, generator=rng), torch.ones(70, 24))
            return scores, *pairs_of(600, 70, rng)
        case "negative zeros":  # 2
            return EmbeddingScores(torch.full((700, 1), -1.0), torch.zeros(9, 1)), *pairs_of(700, 9, rng)
        case "one query":
            return tying_pool(1, 40)
        case "matrix":  # 2
            return MatrixScores(torch.randint(-9, 9, (900, 130), generator=rng) / 8), *pairs_of(900, 130, rng)
        case "function":  # 2, of the best of three vectors
            queries, items = (torch.randn(count, 3, 16, generator=rng) for count in (700, 140))
            return FunctionScores(best_of_vectors, queries, items), *pairs_of(700, 140, rng)
        case _:
            raise KeyError(name)


POOLS = ("ties", "random", "collapsed", "negative zeros", "one query", "matrix", "function")


def fields(result: RankingResult) -> dict[str, object]:
    """All that a result holds; arrays as dtype, shape and bytes."""
    left = asdict(result)
    left |= {f"groups.{name}": value for name, value in left.pop("groups").items()}
    return {
        name: (str(value.dtype), value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
        for name, value in left.items()
    }


def work(rank: int) -> dict[str, object]:
    """Each pool's result, and how many of its pairs this rank counted; what a broken pool is told."""
    left: dict[str, object] = {}
    counted = []

    def recorded(*arguments: Any, **options: Any) -> Any:
        counts = count_ranks(*arguments, **options)
        counted.append(int((counts.equal > 0).sum()))
        return counts

    with patch.object(sharded_ranking, "count_ranks", recorded):
        for name in POOLS:
            left[name] = fields(sharded_metrics(*pool_of(name)))
    left["counted"] = counted
    broken = torch.ones(900, 130)
    broken[-1, -1] = torch.nan  # in the last rank's share
    with pytest.raises(RelevanceError) as refusal:
        sharded_metrics(MatrixScores(broken), *pool_of("matrix")[1:])
    left["refusal"] = str(refusal.value)
    return left


@pytest.fixture(scope="module", params=[2, 3])
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """What `work` returns on each rank."""
    return on_ranks(work, tmp_path_factory.mktemp("ranks"), request.param)


@pytest.mark.slow
@pytest.mark.parametrize("name", POOLS)
def test_every_rank_ends_with_the_result_of_one_process(outcomes: list[dict[str, object]], name: str) -> None:
    expected = fields(retrieval_metrics(*pool_of(name)))
    assert {"groups.above", "groups.size", "topk_items", "topk_scores", "items", "ks", "map_at"} < expected.keys()
    for left in outcomes:
        assert left[name] == expected


@pytest.mark.slow
def test_ranks_count_each_pair_once_and_of_a_large_pool_each_some(outcomes: list[dict[str, object]]) -> None:
    counted = torch.tensor([left["counted"] for left in outcomes])  # (W, pools)
    assert counted.sum(0).tolist() == [len(pool_of(name)[1]) for name in POOLS]
    assert (counted[:, POOLS.index("ties")] > 0).all()
    assert sorted(counted[:, POOLS.index("one query")].tolist())[:-1] == [0] * (len(outcomes) - 1)


@pytest.mark.slow
def test_a_broken_pool_is_refused_on_every_rank(outcomes: list[dict[str, object]]) -> None:
    for left in outcomes[:-1]:
        assert "another rank could not rank its share" in str(left["refusal"])
    assert "scores hold NaN or inf" in str(outcomes[-1]["refusal"])


def test_one_process_ranks_everything() -> None:
    pool = pool_of("ties")
    assert fields(sharded_metrics(*pool)) == fields(retrieval_metrics(*pool))


def test_the_pools_hold_what_they_are_for() -> None:
    assert retrieval_metrics(*pool_of("ties")).summary()["tie_rate"] > 0.9
    assert 0.1 < retrieval_metrics(*pool_of("random")).summary()["tie_rate"] < 0.9
    assert retrieval_metrics(*pool_of("collapsed")).summary()["tie_rate"] == 1


def test_all_products_of_a_pool_have_one_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes shares equal the whole on a BLAS whose rounding depends on the shape."""
    shapes, product = [], torch.mm

    def recorded(left: Tensor, right: Tensor, *, out: Tensor) -> Tensor:
        shapes.append((left.shape, left.stride(), right.shape, right.stride(), out.shape, out.stride()))
        return product(left, right, out=out)

    monkeypatch.setattr("evaluation.ranks._CHUNK_ITEMS", 64)
    monkeypatch.setattr(torch, "mm", recorded)
    for share in ((0, 1), (0, 3), (1, 3), (2, 3)):
        count_ranks(*pool_of("ties"), share=share)
    assert len(shapes) == 2 * 3 * 3  # three blocks of queries, three chunks of items, twice
    assert len(set(shapes)) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 130), st.integers(1, 90), st.integers(1, 9), st.sampled_from([1, 4096, 6144]), st.integers(0, 99))
def test_shares_add_up_to_the_whole(queries: int, items: int, shares: int, block_elements: int, seed: int) -> None:
    pool = tying_pool(queries, items, seed)
    whole = count_ranks(*pool, block_elements=block_elements)
    parts = [count_ranks(*pool, block_elements=block_elements, share=(share, shares)) for share in range(shares)]
    for name in ("greater", "equal", "topk_items", "topk_scores"):
        assert torch.equal(sum(getattr(part, name) for part in parts), getattr(whole, name)), name
    counted = torch.stack([part.equal > 0 for part in parts])  # (W, P)
    assert (counted.sum(0) == 1).all()
    share_of = counted.int().argmax(0)[pool[1].argsort()]  # of each pair, in order of queries
    assert (share_of.diff() >= 0).all()
    blocks = -(-queries // 16) if block_elements == 1 else 1
    assert len(share_of.unique()) >= min(shares, blocks)
