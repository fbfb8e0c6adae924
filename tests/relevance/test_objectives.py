"""Objectives against NumPy loops and SciPy, values and gradients; the first look at the targets."""

import warnings

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import RelevanceError
from relevance.objectives.base import listnet_loss, target_distribution, target_entropy
from relevance.objectives.infonce import InfoNCE
from relevance.objectives.listnet import ListNet
from relevance.objectives.target_checks import check_targets


def naive_listnet(scores: np.ndarray, relevance: np.ndarray, tau: float, omega: float | None) -> float:
    """Equation by equation, a query and an item at a time."""
    total = 0.0
    for s, g in zip(scores, relevance, strict=True):
        p = g / g.sum() if omega is None else scipy.special.softmax(g / omega)
        q = scipy.special.softmax(s / tau)
        total += sum(-p_j * np.log(q_j) for p_j, q_j in zip(p, q, strict=True))
    return total / len(scores)


def numeric_gradient(scores: np.ndarray, relevance: np.ndarray, tau: float, omega: float | None) -> np.ndarray:
    """Central differences of `naive_listnet`."""
    gradient = np.zeros_like(scores)
    for index in np.ndindex(*scores.shape):
        step = np.zeros_like(scores)
        step[index] = 1e-6
        up, down = (naive_listnet(scores + sign * step, relevance, tau, omega) for sign in (1, -1))
        gradient[index] = (up - down) / 2e-6
    return gradient


def draw(queries: int, items: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (queries, items)), rng.uniform(0, 1, (queries, items))


@pytest.mark.parametrize("omega", [0.05, 0.5, None])
@pytest.mark.parametrize("tau", [0.05, 0.2, 1.0])
def test_listnet_value_and_gradient(tau: float, omega: float | None) -> None:
    scores, relevance = draw(5, 7)
    s = torch.tensor(scores, dtype=torch.float32, requires_grad=True)
    loss = listnet_loss(s, torch.tensor(relevance), tau, omega)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(naive_listnet(scores, relevance, tau, omega), rel=1e-5)
    assert s.grad is not None
    np.testing.assert_allclose(s.grad, numeric_gradient(scores, relevance, tau, omega), atol=2e-5, rtol=1e-4)


def test_listnet_is_kl_divergence_plus_entropy_of_the_target() -> None:
    scores, relevance = draw(6, 9, seed=3)
    p = scipy.special.softmax(relevance / 0.1, axis=1)
    q = scipy.special.softmax(scores / 0.07, axis=1)
    expected = np.mean(
        [scipy.stats.entropy(p_i, q_i) + scipy.stats.entropy(p_i) for p_i, q_i in zip(p, q, strict=True)]
    )
    assert float(ListNet(tau=0.07, omega=0.1)(torch.tensor(scores), torch.tensor(relevance))) == pytest.approx(
        expected, rel=1e-5
    )


def test_infonce_is_the_cross_entropy_of_the_diagonal_when_audios_differ() -> None:
    scores = torch.tensor(draw(8, 8)[0])
    expected = -np.diag(scipy.special.log_softmax(scores.numpy() / 0.05, axis=1)).mean()
    assert float(InfoNCE(tau=0.05)(scores, torch.eye(8))) == pytest.approx(expected, rel=1e-5)


def test_infonce_counts_equal_audios_as_positives() -> None:
    scores, _ = draw(4, 4, seed=1)
    audio = np.array([3, 5, 3, 8])
    same = (audio[:, None] == audio[None, :]).astype(float)
    log_q = scipy.special.log_softmax(scores / 0.05, axis=1)
    expected = np.mean([-log_q[i, np.flatnonzero(same[i])].mean() for i in range(4)])
    s = torch.tensor(scores, dtype=torch.float32, requires_grad=True)
    loss = InfoNCE(tau=0.05)(s, torch.tensor(same))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert s.grad is not None
    np.testing.assert_allclose(s.grad, numeric_gradient(scores, same, 0.05, None), atol=2e-5, rtol=1e-4)


def test_listnet_with_a_cold_target_is_infonce() -> None:
    scores, _ = draw(6, 6)
    binary = torch.eye(6)
    cold = ListNet(tau=0.05, omega=1e-3)(torch.tensor(scores), binary)
    assert float(cold) == pytest.approx(float(InfoNCE(tau=0.05)(torch.tensor(scores), binary)), rel=1e-6)


def test_targets_of_the_recipe() -> None:
    """Target mass beside a caption of h = 1, with the logistic f and omega = .05: .282 at h = .9, .054 at h = .8."""
    g = torch.tensor([[0.8641, 0.8009, 0.7179, 0.6187]])
    p = target_distribution(g, 0.05)[0]
    np.testing.assert_allclose((p / p[0])[1:], [0.282, 0.054, 0.007], atol=1.5e-3)


def test_trained_temperature_gets_the_right_gradient_and_stays_positive() -> None:
    scores, relevance = draw(5, 6)
    objective = ListNet(tau=0.1, omega=0.2, learn_tau=True)
    objective(torch.tensor(scores), torch.tensor(relevance)).backward()
    assert objective.log_tau is not None
    assert objective.log_tau.grad is not None
    up, down = (naive_listnet(scores, relevance, 0.1 * np.exp(e), 0.2) for e in (1e-5, -1e-5))
    assert float(objective.log_tau.grad) == pytest.approx((up - down) / 2e-5, rel=1e-3)
    assert list(ListNet().parameters()) == []


def test_loss_is_float32_under_autocast() -> None:
    scores, relevance = (torch.tensor(x, dtype=torch.float32) for x in draw(4, 5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = ListNet()(scores, relevance)
    assert inside.dtype == torch.float32
    assert float(inside) == float(ListNet()(scores, relevance))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(2, 8), st.integers(0, 10_000), st.sampled_from([0.05, 0.3, None]))
def test_loss_is_least_when_the_prediction_is_the_target(q: int, n: int, seed: int, omega: float | None) -> None:
    scores, relevance = draw(q, n, seed)
    target = target_distribution(torch.tensor(relevance), omega)
    at_target = listnet_loss(target.clamp_min(1e-30).log(), torch.tensor(relevance), 1.0, omega)
    assert float(at_target) == pytest.approx(float(target_entropy(target)), rel=1e-4)
    assert float(listnet_loss(torch.tensor(scores), torch.tensor(relevance), 1.0, omega)) >= float(at_target) - 1e-4


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 6), st.integers(2, 8), st.integers(0, 10_000))
def test_loss_does_not_depend_on_the_order_of_items(q: int, n: int, seed: int) -> None:
    scores, relevance = (torch.tensor(x) for x in draw(q, n, seed))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    moved = ListNet()(scores[:, order], relevance[:, order])
    assert float(moved) == pytest.approx(float(ListNet()(scores, relevance)), rel=1e-5)


@pytest.mark.parametrize(
    ("relevance", "omega", "message"),
    [
        (torch.tensor([[0.5, float("nan")]]), 0.05, "NaN or infinite"),
        (torch.tensor([[0.5, 1.7]]), 0.05, r"must be in \[0, 1\]"),
        (torch.tensor([[0.0, 0.0], [1.0, 0.0]]), None, "no relevant item"),
    ],
)
def test_unusable_targets_are_refused(relevance: torch.Tensor, omega: float | None, message: str) -> None:
    with pytest.raises(RelevanceError, match=message):
        check_targets(relevance, omega)


def test_underflow_and_uniform_targets_are_warned_of() -> None:
    graded = torch.tensor([[0.86, 0.7, 0.5], [0.5, 0.86, 0.6]])
    with pytest.warns(UserWarning, match="one-hot with omega=0.001"):
        check_targets(graded, 0.001)
    with pytest.warns(UserWarning, match="almost uniform over the 3 items"):
        check_targets(graded, 50.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_targets(graded, 0.05)
        check_targets(torch.eye(3), None)


@pytest.mark.parametrize(("arguments", "message"), [({"tau": 0.0}, "tau must be"), ({"omega": -1.0}, "omega must be")])
def test_temperatures_must_be_positive(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(RelevanceError, match=message):
        ListNet(**arguments)  # type: ignore[arg-type]
