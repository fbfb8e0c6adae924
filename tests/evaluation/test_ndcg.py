"""nDCG against scikit-learn and against products of embeddings."""

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score

from common.errors import RelevanceError
from evaluation.ndcg import ndcg, ndcg_from_scores
from evaluation.scores import EmbeddingScores
from tests.support.rankings import integer_embeddings


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
