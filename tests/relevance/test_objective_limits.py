"""Objectives that are another one at the end of a setting's range."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from relevance.objectives import (
    CUSA,
    HNNCE,
    ApproxNDCG,
    Decoupled,
    HybridNCE,
    InfoNCE,
    ListMLE,
    ListNet,
    MaxMargin,
    NeuralNDCG,
    Objective,
    PriorRevised,
    RankedRINCE,
    RobustRINCE,
    SigLIP,
    SmoothAP,
    SoftCLIP,
    SoftSigLIP,
    Triplet,
    target_distribution,
    target_entropy,
)
from relevance.objectives.optimal_transport import log_plan
from tests.support.objective_table import draw

TAU = 0.2
BINARY = torch.eye(6, dtype=torch.float64)
SCORES, GRADED = draw("distinct", 7)
BATCH = len(SCORES)

LIMITS: dict[str, tuple[Objective, Objective, Tensor, Callable[[float], float]]] = {
    "Hybrid-NCE, beta 0": (HybridNCE(tau=TAU, beta=0), InfoNCE(tau=TAU), BINARY, float),
    "Hybrid-NCE, alpha 0": (HybridNCE(tau=TAU, alpha=0, beta=0, relevant_from=1), Decoupled(tau=TAU), GRADED, float),
    "HN-NCE, beta 0": (HNNCE(tau=TAU, alpha=1, beta=0), InfoNCE(tau=TAU), BINARY, float),
    "ranked RINCE, one rank, in": (RankedRINCE("both", [0.5], TAU, variant="in"), InfoNCE(tau=TAU), BINARY, float),
    "ranked RINCE, one rank, out": (RankedRINCE("both", [0.5], TAU, variant="out"), InfoNCE(tau=TAU), BINARY, float),
    "robust RINCE, q near 0": (
        RobustRINCE(tau=TAU, q=1e-6, weight=0.1),
        InfoNCE(tau=TAU),
        BINARY,
        lambda loss: loss + np.log(0.1),
    ),
    "soft SigLIP, binary": (SoftSigLIP(bias=-5), SigLIP(bias=-5), BINARY, float),
    "ListMLE, first place": (ListMLE(tau=TAU, top=1), InfoNCE(tau=TAU), BINARY, float),
    "triplet-sum": (Triplet(), MaxMargin(), GRADED, lambda loss: loss * (BATCH - 1)),
    "graded triplet, binary": (Triplet(graded=True), Triplet(), BINARY, float),
    "graded margin, binary": (MaxMargin(graded=True), MaxMargin(), BINARY, float),
    "prior revised, no prior": (PriorRevised(tau=TAU, prior_scale=0), InfoNCE(tau=TAU), BINARY, float),
    "SoftCLIP, hard": (SoftCLIP(tau=TAU, smoothing=0, softness=0, negatives=0), InfoNCE(tau=TAU), BINARY, float),
    "SoftCLIP, soft": (
        SoftCLIP(tau=TAU, omega=0.3, softness=1, negatives=0),
        ListNet(tau=TAU, omega=0.3),
        GRADED,
        lambda loss: loss - float(target_entropy(target_distribution(GRADED, 0.3))),
    ),
    "CUSA without soft labels": (CUSA(tau=TAU, soft=0), InfoNCE(tau=TAU), BINARY, float),
}


@pytest.mark.parametrize("name", LIMITS)
def test_loss_and_gradient_are_those_of_the_limit(name: str) -> None:
    objective, limit, relevance, expected = LIMITS[name]
    ours, other = SCORES.clone().requires_grad_(), SCORES.clone().requires_grad_()
    loss, of_limit = objective.double()(ours, relevance), limit.double()(other, relevance)
    loss.backward()
    of_limit.backward()
    factor = expected(1.0) if name == "triplet-sum" else 1.0
    assert loss.item() == pytest.approx(expected(of_limit.item()), rel=2e-5, abs=1e-6)
    assert ours.grad is not None
    assert other.grad is not None
    torch.testing.assert_close(ours.grad, factor * other.grad, atol=1e-5, rtol=1e-4)


def test_robust_rince_with_q_1_is_linear_in_the_exponentials() -> None:
    e = torch.exp(SCORES / TAU)
    expected = (-e.diagonal() + 0.1 * e.sum(1)).mean()
    assert RobustRINCE(tau=TAU, q=1, weight=0.1)(SCORES, BINARY).item() == pytest.approx(expected.item(), rel=1e-9)


def exact(scores: np.ndarray, relevance: np.ndarray, sharpness: float) -> tuple[float, float]:
    """NDCG, and average precision of items of relevance .5 or more, both means over queries."""
    ndcg, precision = [], []
    for s, g in zip(scores, relevance, strict=True):
        order, gain = np.argsort(-s), 2 ** (sharpness * g) - 1
        discounts = 1 / np.log2(np.arange(2, len(s) + 2))
        ndcg.append((gain[order] * discounts).sum() / (np.sort(gain)[::-1] * discounts).sum())
        hits = g[order] >= 0.5
        precision.append((hits.cumsum() / np.arange(1, len(s) + 1))[hits].mean())
    return float(np.mean(ndcg)), float(np.mean(precision))


def test_smooth_metrics_become_the_metrics() -> None:
    ndcg, precision = exact(SCORES.numpy(), GRADED.numpy(), 2.0)
    assert 1 - ApproxNDCG(tau=1e-4, sharpness=2.0)(SCORES, GRADED).item() == pytest.approx(ndcg, abs=1e-6)
    assert 1 - NeuralNDCG(tau=1e-4, sharpness=2.0)(SCORES, GRADED).item() == pytest.approx(ndcg, abs=1e-6)
    assert 1 - SmoothAP(tau=1e-4, relevant_from=0.5)(SCORES, GRADED).item() == pytest.approx(precision, abs=1e-6)


def test_a_transport_plan_has_both_marginals_and_is_uniform_where_entropy_is_all() -> None:
    plan = log_plan(1 - SCORES[:, :5], 0.1, 500).exp()
    torch.testing.assert_close(plan.sum(1), torch.full((6,), 1 / 6, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(0), torch.full((5,), 1 / 5, dtype=torch.float64), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(log_plan(1 - SCORES, 1e4, 2).exp(), torch.full_like(SCORES, 1 / 36), rtol=1e-3, atol=0)
