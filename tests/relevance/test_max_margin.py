"""MaxMargin against loops in NumPy, with gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from common.errors import RelevanceError
from relevance.objectives import MaxMargin, max_margin_loss

BATCH = 6


def by_hand(scores: np.ndarray, relevance: np.ndarray, margin: float, graded: bool) -> tuple[float, np.ndarray]:
    """Loss and gradient, pair by pair."""
    loss, gradient = 0.0, np.zeros_like(scores)
    for i, (s, g) in enumerate(zip(scores, relevance, strict=True)):
        pairs = [(p, n) for p in range(len(s)) for n in range(len(s)) if g[p] == g.max() and g[n] < g.max()]
        for p, n in pairs:
            hinge = margin * (g[p] - g[n] if graded else 1) + s[n] - s[p]
            if hinge > 0:
                share = 1 / len(pairs) / len(scores)
                loss += share * hinge
                gradient[i, n] += share
                gradient[i, p] -= share
    return loss, gradient


def example(seed: int, positives: int = 2) -> tuple[Tensor, Tensor]:
    """Scores (6, 8), and relevance (6, 8) with one or more positives a query, in any place."""
    rng = np.random.default_rng(seed)
    relevance = rng.integers(0, 4, (BATCH, 8)) / 5
    for row in relevance:
        row[rng.choice(8, rng.integers(1, positives + 1), replace=False)] = 1
    return torch.tensor(rng.uniform(-0.3, 0.3, (BATCH, 8)), dtype=torch.float32), torch.tensor(relevance)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 7), st.floats(0.01, 1), st.booleans())
def test_loss_and_gradient_are_those_of_all_pairs(seed: int, positives: int, margin: float, graded: bool) -> None:
    scores, relevance = example(seed, positives)
    scores.requires_grad_()
    loss = max_margin_loss(scores, relevance, margin, graded)
    loss.backward()
    expected, gradient = by_hand(scores.detach().double().numpy(), relevance.numpy(), margin, graded)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    assert scores.grad is not None
    np.testing.assert_allclose(scores.grad.numpy(), gradient, atol=1e-6)


def test_both_directions_give_the_published_loss() -> None:
    scores = example(0)[0][:, :BATCH]
    objective = MaxMargin()
    assert objective.directions == ("text_to_audio", "audio_to_text")
    ours = (objective(scores, torch.eye(BATCH)) + objective(scores.T, torch.eye(BATCH))) / 2
    total = 0.0
    for i in range(BATCH):
        for j in range(BATCH):
            if i != j:
                own = scores[i, i]
                total += float(torch.relu(0.2 + scores[i, j] - own) + torch.relu(0.2 + scores[j, i] - own))
    assert ours.item() == pytest.approx(total / (2 * BATCH * (BATCH - 1)), abs=1e-6)


def test_a_query_to_which_all_is_equally_relevant_has_no_loss() -> None:
    scores = torch.rand(2, 3, requires_grad=True)
    loss = max_margin_loss(scores, torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]), 0.2)
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan")])
def test_margins_that_are_none_are_refused(margin: float) -> None:
    with pytest.raises(RelevanceError, match=r"^MaxMargin: margin is .*; give a number from 1e-06"):
        MaxMargin(margin=margin)
