"""What holds of every objective: its definition, its gradient, and what it must not depend on."""

import inspect

import numpy as np
import pytest
import torch
from torch import Tensor

from relevance.base import IGNORED
from relevance.objectives import CUSA, Objective, Triplet
from tests.support.objective_table import CASES, Kind, draw, pairs_of_kind

EVERY = pytest.mark.parametrize(("name", "kind"), pairs_of_kind())


def loss_and_gradient(objective: Objective, scores: Tensor, relevance: Tensor) -> tuple[float, Tensor]:
    scores = scores.clone().requires_grad_()
    loss = objective(scores, relevance)
    loss.backward()
    assert scores.grad is not None
    return loss.item(), scores.grad


def slope(name: str, scores: np.ndarray, relevance: np.ndarray) -> np.ndarray:
    """Central differences of the definition."""
    gradient, step = np.zeros_like(scores), 1e-6
    for place in np.ndindex(*scores.shape):
        moved = np.zeros_like(scores)
        moved[place] = step
        up, down = (CASES[name].naive(scores + sign * moved, relevance) for sign in (1, -1))
        gradient[place] = (up - down) / (2 * step)
    return gradient


def test_the_table_is_complete() -> None:
    from relevance import objectives

    classes = {getattr(objectives, name) for name in objectives.__all__}
    wanted = {kind for kind in classes if inspect.isclass(kind) and kind.__dict__.get("citation")}
    assert wanted == {type(case.make()) for case in CASES.values()}


@EVERY
def test_value_and_gradient_are_those_of_the_definition(name: str, kind: Kind) -> None:
    objective = CASES[name].make().double()
    scores, relevance = draw(kind)
    loss, gradient = loss_and_gradient(objective, scores, relevance)
    assert loss == pytest.approx(CASES[name].naive(scores.numpy(), relevance.numpy()), rel=1e-6)
    expected = slope(name, scores.numpy(), relevance.numpy())
    np.testing.assert_allclose(gradient.numpy(), expected, atol=2e-6)
    assert np.abs(expected).max() > 1e-2  # else there is nothing to compare


@EVERY
def test_the_order_of_queries_and_of_items_does_not_matter(name: str, kind: Kind) -> None:
    objective = CASES[name].make().double()
    scores, relevance = draw(kind, 2)
    loss, gradient = loss_and_gradient(objective, scores, relevance)
    rows, columns = torch.tensor([3, 0, 5, 1, 4, 2]), torch.tensor([2, 5, 0, 4, 3, 1])
    moved, of_moved = loss_and_gradient(objective, scores[rows][:, columns], relevance[rows][:, columns])
    assert moved == pytest.approx(loss, rel=1e-6)
    torch.testing.assert_close(of_moved, gradient[rows][:, columns], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name, kind in pairs_of_kind() if kind != "distinct" and name != "lambda_loss_top"],
)
def test_a_clip_that_is_twice_in_a_batch_is_no_negative_of_itself(name: str, kind: Kind) -> None:
    scores, relevance = draw(kind, 3)
    scores = 0.5 + scores * 0.1
    scores[1, 1] = scores[1, 4] = 0.1  # both copies score low: neither is to score lower
    _, gradient = loss_and_gradient(CASES[name].make().double(), scores, relevance)
    assert gradient[1, 1] < 0
    assert gradient[1, 4] < 0
    if not name.startswith(("lambda_loss", "optimal_transport", "prior_revised")):  # ranks differ; columns differ
        assert gradient[1, 4] == pytest.approx(float(gradient[1, 1]), rel=1e-5)


@EVERY
@pytest.mark.parametrize("autocast", [False, True])
def test_extreme_scores_give_numbers(name: str, kind: Kind, autocast: bool) -> None:
    cold = {"tau": 0.01} if "tau" in inspect.signature(type(CASES[name].make()).__init__).parameters else {}
    objective = CASES[name].make(**cold)
    scores, relevance = (tensor.float() for tensor in draw(kind, 4))
    scores[0], scores[1] = torch.tensor([-1.0, 1, 1, -1, 1, -1]), 1.0
    scores[:, 5] = -1.0
    if autocast:
        scores = scores.bfloat16()
    scores.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = objective(scores, relevance)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    for tensor in (scores, *objective.parameters()):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()


@pytest.mark.parametrize("name", CASES)
def test_a_batch_of_one_clip_alone_gives_a_number(name: str) -> None:
    scores = torch.full((2, 2), 0.3, requires_grad=True)
    loss = CASES[name].make()(scores, torch.ones(2, 2))
    loss.backward()
    assert scores.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.ignores])
def test_nothing_is_learned_from_ignored_pairs(name: str) -> None:
    kind = CASES[name].kinds[0]
    scores, relevance = draw(kind, 5)
    relevance[0, 3] = relevance[2, 5] = IGNORED
    scores[0, 3], scores[2, 5] = scores[0, 0] + 0.001, 0.95  # they would be chosen: near the positive, the highest
    objective = CASES[name].make().double()
    objective.check(relevance)
    loss, gradient = loss_and_gradient(objective, scores, relevance)
    assert gradient[0, 3] == gradient[2, 5] == 0
    assert loss != pytest.approx(loss_and_gradient(objective, scores, relevance.clamp_min(0))[0], rel=1e-4)
    scores[0, 3] = 0.9
    assert loss_and_gradient(objective, scores, relevance)[0] == pytest.approx(loss, rel=1e-9)


def test_random_negatives_are_drawn_among_all() -> None:
    torch.manual_seed(0)
    scores = torch.tensor([[0.0, 0.1, 0.2, 0.3]], dtype=torch.float64)
    relevance = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    drawn = {round(float(Triplet(margin=0.5, negatives="random")(scores, relevance)), 6) for _ in range(64)}
    # Of each positive, 0 and .2, one negative: the mean of .5 + n - p over the two.
    of_first, of_third = (0.6, 0.8), (0.4, 0.6)
    assert drawn == {round((a + b) / 2, 6) for a in of_first for b in of_third}


def test_the_term_of_cusa_within_a_modality() -> None:
    scores, relevance = draw("graded")
    objective = CUSA(omega=0.5, own=0.7).double()
    p, q = (
        np.exp(values - np.log(np.exp(values).sum(1, keepdims=True)))
        for values in (relevance.numpy() / 0.5, scores.numpy() / 0.45)
    )
    assert objective.within(scores, relevance).item() == pytest.approx(
        0.7 * (p * np.log(p / q)).sum(1).mean(), rel=1e-6
    )


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("siglip", "log_scale"), ("siglip", "bias"), ("cusa", "log_soft_taus"), ("hn_nce", "log_tau")],
)
def test_trained_constants_get_the_right_gradient(name: str, parameter: str) -> None:
    objective = CASES[name].make(**({"learn_tau": True} if parameter == "log_tau" else {})).double()
    scores, relevance = draw(CASES[name].kinds[0])
    trained = dict(objective.named_parameters())[parameter]
    objective(scores, relevance).backward()
    assert trained.grad is not None
    step = torch.zeros_like(trained)
    step.view(-1)[0] = 1e-3
    losses = []
    for sign in (1, -1):
        with torch.no_grad():
            trained.add_(sign * step)
            losses.append(objective(scores, relevance).item())
            trained.sub_(sign * step)
    assert trained.grad.view(-1)[0].item() == pytest.approx((losses[0] - losses[1]) / 2e-3, rel=1e-4)
