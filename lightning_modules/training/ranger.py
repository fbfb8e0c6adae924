"""Ranger: RAdam with Lookahead."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import RAdam

from common.errors import ModelError


class Ranger(RAdam):
    """RAdam whose weights are pulled back, every k steps, to slow weights that follow them.

    After steps k, 2k, ...: slow += alpha (fast - slow); fast = slow. The slow weights begin as the initial ones, and
    are kept in the optimiser's state, so a resumed run continues as it would have.

    Args:
        params: as for any optimiser.
        lr, betas, eps: of RAdam.
        weight_decay: decoupled: weights are multiplied by 1 - lr weight_decay.
        k: steps between two pulls.
        alpha: how far the slow weights go.

    Raises:
        ModelError: k below 1, or alpha outside (0, 1].

    Source: Liu et al. 2020, "On the variance of the adaptive learning rate and beyond" (RAdam); Zhang et al. 2019,
    "Lookahead optimizer: k steps forward, 1 step back"; the defaults are those of Oncescu et al. 2021.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.01,
        betas: tuple[float, float] = (0.95, 0.999),
        eps: float = 1e-5,
        weight_decay: float = 0.001,
        k: int = 6,
        alpha: float = 0.5,
    ) -> None:
        if k < 1 or not 0 < alpha <= 1:
            raise ModelError(f"Ranger: k is {k} and alpha {alpha:g}: give k >= 1 and alpha in (0, 1]")
        super().__init__(params, lr, betas, eps, weight_decay, decoupled_weight_decay=True)
        self.k, self.alpha = k, alpha

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of RAdam, and every k-th time the pull."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        weights = [weight for group in self.param_groups for weight in group["params"] if weight.grad is not None]
        # RAdam takes a weight with any state for one that it has seen, so slow weights join the state after it.
        initial: list[tuple[Tensor, Tensor]] = [(w, w.clone()) for w in weights if "slow" not in self.state[w]]
        super().step()
        for weight, slow in initial:
            self.state[weight]["slow"] = slow
        for weight in weights:
            state = self.state[weight]
            if int(state["step"]) % self.k == 0:
                weight.copy_(state["slow"].lerp_(weight, self.alpha))
        return loss
