"""Fusion: against plain matrices and loops, in blocks and shares, in both directions."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RelevanceError
from evaluation.fused_scores import FusedScores, ReciprocalRankScores
from evaluation.gated_scores import GatedScores
from evaluation.ranking import retrieval_metrics
from evaluation.ranks import count_ranks
from evaluation.row_scores import RowScores
from evaluation.scores import EmbeddingScores, MatrixScores, Scores
from tests.support.rankings import integer_embeddings

QUERIES, ITEMS = 70, 150
PAIRS = np.arange(QUERIES), np.arange(QUERIES) * 2 % ITEMS
WEIGHTS = [0.25, 0.75]  # exact in binary, as are the scores


def parts() -> list[Scores]:
    queries, items = integer_embeddings(QUERIES, ITEMS)
    gates = torch.ones(QUERIES, 1), torch.ones(ITEMS, 1)
    other = torch.cat([queries.roll(1, 0), gates[0]], 1), torch.cat([items, gates[1]], 1)
    return [EmbeddingScores(queries, items), GatedScores(*other, 1)]


def matrices() -> list[torch.Tensor]:
    queries, items = integer_embeddings(QUERIES, ITEMS)
    return [queries @ items.T, queries.roll(1, 0) @ items.T]


def mean(matrices: list[torch.Tensor]) -> torch.Tensor:
    return sum((w * matrix for w, matrix in zip(WEIGHTS, matrices, strict=True)), torch.zeros(()))


def reciprocal_ranks(matrices: list[torch.Tensor]) -> torch.Tensor:
    """By a loop; tied items share their mean place."""
    fused = np.zeros(matrices[0].shape)
    for matrix in matrices:
        for q, row in enumerate(matrix.numpy()):
            for i, score in enumerate(row):
                fused[q, i] += 1 / (60 + np.sum(row > score) + (np.sum(row == score) + 1) / 2)
    return torch.from_numpy(fused).float()


FUSIONS: dict[str, tuple[Callable[[list[Scores]], RowScores], Callable[[list[torch.Tensor]], torch.Tensor]]] = {
    "mean": (lambda parts: FusedScores(parts, WEIGHTS), mean),
    "ranks": (ReciprocalRankScores, reciprocal_ranks),
}


@pytest.mark.parametrize("kind", FUSIONS)
def test_fusion_is_that_of_plain_matrices_in_blocks_and_both_ways(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluation.ranks._CHUNK_ITEMS", 64)
    make, plain = FUSIONS[kind]
    back = np.arange(ITEMS), np.arange(ITEMS) % QUERIES
    for scores, expected, pairs in (
        (make(parts()), plain(matrices()), PAIRS),
        (make(parts()).transposed(), plain([matrix.T for matrix in matrices()]), back),
    ):
        assert torch.equal(scores.block(slice(None), slice(None)), expected)
        for block_elements in (1, 2**26):
            counts = count_ranks(scores, *pairs, block_elements=block_elements)
            wanted = count_ranks(MatrixScores(expected), *pairs)
            assert torch.equal(counts.greater, wanted.greater)
            assert torch.equal(counts.equal, wanted.equal)
            assert torch.equal(counts.topk_items, wanted.topk_items)


@pytest.mark.parametrize("kind", FUSIONS)
def test_selected_items_keep_the_scores_of_the_whole_row(kind: str) -> None:
    make, plain = FUSIONS[kind]
    scores, whole = make(parts()), plain(matrices())
    rows, columns = torch.tensor([5, 0, 5]), torch.tensor([149, 2, 7])
    part = scores.select(rows, columns)
    assert (part.queries, part.items) == (3, 3)
    assert torch.equal(part.block(slice(None), slice(None)), whole[rows][:, columns])
    again = part.select(torch.tensor([1]), torch.tensor([2, 0]))
    assert torch.equal(again.block(slice(None), slice(None)), whole[[0]][:, [7, 149]])
    counts = count_ranks(part, np.arange(3), np.array([0, 1, 2]))
    assert torch.equal(counts.topk_scores, whole[rows][:, columns].sort(descending=True).values)
    with pytest.raises(RelevanceError, match="cannot be exchanged: do it before the selection"):
        part.transposed()


@pytest.mark.parametrize("kind", FUSIONS)
def test_shares_of_the_queries_make_the_whole(kind: str) -> None:
    scores = FUSIONS[kind][0](parts())
    whole = count_ranks(scores, *PAIRS)
    shares = [count_ranks(scores, *PAIRS, block_elements=1, share=(rank, 3)) for rank in range(3)]
    assert torch.equal(torch.stack([share.greater for share in shares]).sum(0), whole.greater)
    assert torch.equal(torch.stack([share.topk_items for share in shares]).sum(0), whole.topk_items)


@pytest.mark.parametrize("make", [FusedScores, ReciprocalRankScores])
def test_the_fusion_of_two_equal_methods_is_each(make: Callable[[list[Scores]], RowScores]) -> None:
    rng = torch.Generator().manual_seed(0)
    alone = EmbeddingScores(torch.randn(QUERIES, 12, generator=rng), torch.randn(ITEMS, 12, generator=rng))
    fused = make([alone, alone])
    for both, expected in ((fused, alone), (fused.transposed(), alone.transposed())):
        pairs = np.arange(both.queries), np.arange(both.queries) % both.items
        ours, theirs = (retrieval_metrics(scores, *pairs) for scores in (both, expected))
        assert ours.summary() == theirs.summary()
        assert np.array_equal(ours.topk_items, theirs.topk_items)


@given(st.permutations(range(8)), st.integers(0, 5))
def test_ranks_do_not_depend_on_the_order_of_items(order: list[int], seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    made = [torch.randint(0, 4, (3, 8), generator=rng).float() for _ in range(2)]  # with many ties
    whole = ReciprocalRankScores([MatrixScores(each) for each in made]).block(slice(None), slice(None))
    moved = ReciprocalRankScores([MatrixScores(each[:, order]) for each in made]).block(slice(None), slice(None))
    assert torch.equal(moved, whole[:, order])


def test_memory_is_that_of_a_few_blocks() -> None:
    seen = []

    class Watched(MatrixScores):
        def block(self, queries: slice, items: slice) -> torch.Tensor:
            found = super().block(queries, items)
            seen.append(found.numel())
            return found

    part = Watched(torch.randn(600, 1).expand(600, 400))
    count_ranks(FusedScores([part, part]), np.arange(600), np.arange(600) % 400, block_elements=2**14)
    assert 0 < max(seen) <= 2**14


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FusedScores([]), "scores to combine are missing"),
        (lambda: FusedScores([parts()[0], parts()[0].transposed()]), "70 x 150 on cpu, 150 x 70 on cpu: give some for"),
        (lambda: FusedScores(parts(), [1]), "1 weights for 2 runs: give one for each"),
        (lambda: FusedScores(parts(), [0, 0]), "weights are 0, 0: give numbers >= 0, not all 0"),
        (lambda: FusedScores(parts(), [2, -1]), "weights are 2, -1: give numbers >= 0"),
        (lambda: FusedScores(parts(), [1, float("nan")]), "weights are 1, nan"),
        (lambda: ReciprocalRankScores(parts(), -1), "the offset of ranks is -1: give at least 0"),
    ],
)
def test_what_cannot_be_fused_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(RelevanceError, match=message):
        make()
