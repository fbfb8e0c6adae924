"""Ranger and step decay against loops."""

import copy
import math

import numpy as np
import pytest
import torch

from common.errors import ModelError
from lightning_modules.training.ranger import Ranger
from lightning_modules.training.schedules import StepDecay

STEPS = 20


def gradients() -> torch.Tensor:
    return torch.randn(STEPS, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def by_hand(rate: float, decay: float) -> list[float]:
    """RAdam's algorithm 2 and Lookahead's algorithm 1, number by number."""
    beta1, beta2, eps = 0.95, 0.999, 1e-5
    limit = 2 / (1 - beta2) - 1
    ends = []
    for place, start in enumerate((1.0, -2.0, 0.5)):
        weight, slow, mean, square = start, start, 0.0, 0.0
        for step, gradient in enumerate(gradients()[:, place].tolist(), 1):
            mean = beta1 * mean + (1 - beta1) * gradient
            square = beta2 * square + (1 - beta2) * gradient**2
            weight -= rate * decay * weight
            rho = limit - 2 * step * beta2**step / (1 - beta2**step)
            corrected = mean / (1 - beta1**step)
            if rho > 5:
                rectified = math.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
                scale = math.sqrt(1 - beta2**step) / (math.sqrt(square) + eps)
                weight -= rate * corrected * rectified * scale
            else:
                weight -= rate * corrected
            if step % 6 == 0:
                slow += 0.5 * (weight - slow)
                weight = slow
        ends.append(weight)
    return ends


def optimiser(rate: float = 0.05) -> tuple[torch.nn.Parameter, Ranger]:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    return weight, Ranger([weight], lr=rate, weight_decay=0.1)


def train(weight: torch.nn.Parameter, ranger: Ranger, begin: int, end: int) -> None:
    for gradient in gradients()[begin:end]:
        weight.grad = gradient.clone()
        ranger.step()


def test_ranger_is_the_published_formulas() -> None:
    weight, ranger = optimiser()
    train(weight, ranger, 0, STEPS)
    np.testing.assert_allclose(weight.detach().numpy(), by_hand(0.05, 0.1), rtol=1e-12)


@pytest.mark.parametrize("stop", [1, 5, 6, 9])
def test_a_resumed_training_goes_on_bit_for_bit(stop: int) -> None:
    whole, ranger = optimiser()
    train(whole, ranger, 0, STEPS)
    weight, ranger = optimiser()
    train(weight, ranger, 0, stop)
    state = copy.deepcopy(ranger.state_dict())
    resumed = torch.nn.Parameter(weight.detach().clone())
    other = Ranger([resumed], lr=0.05, weight_decay=0.1)
    other.load_state_dict(state)
    train(resumed, other, stop, STEPS)
    assert torch.equal(resumed, whole)


def test_a_closure_is_called_once() -> None:
    weight, ranger = optimiser()
    calls = []

    def closure() -> float:
        calls.append(1)
        weight.grad = torch.ones_like(weight)
        return 3.0

    assert ranger.step(closure) == 3.0
    assert len(calls) == 1


@pytest.mark.parametrize("options", [{"k": 0}, {"alpha": 0.0}, {"alpha": 1.5}])
def test_numbers_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=r"^Ranger: k is .*give k >= 1 and alpha in \(0, 1\]"):
        Ranger([torch.nn.Parameter(torch.ones(1))], **options)  # type: ignore[arg-type]


def test_the_rate_falls_after_each_epoch() -> None:
    batches, schedule = 3, StepDecay(0.95)
    for epoch in range(4):
        for batch in range(batches):
            assert schedule(epoch + (batch + 1) / batches, 20) == 0.95**epoch
    assert StepDecay(0.95, trained_epochs=20)(0.1, 20) == pytest.approx(0.35849, abs=1e-5)
    with pytest.raises(ModelError, match=r"give gamma in \(0, 1\]"):
        StepDecay(1.5)
