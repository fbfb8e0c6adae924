"""Learning-rate schedules as functions of the time passed, in epochs.

A schedule keeps no state: the rate at a step follows from the epoch and the batch's number alone, so a resumed run
cannot fall out of step, and a change of batch size or device count changes nothing in the recipe.
"""

import math
from dataclasses import dataclass

from torch.optim import Optimizer

from common.errors import ModelError


class Schedule:
    """Base of the schedules: `schedule(epoch, epochs) -> factor` on the optimiser's own learning rate."""

    def __call__(self, epoch: float, epochs: float) -> float:
        """Factor at `epoch` (1.5: half of the second epoch is done) of `epochs` in all (inf: no end is known)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Schedule):
    """The optimiser's learning rate throughout."""

    def __call__(self, epoch: float, epochs: float) -> float:
        """Like `Schedule.__call__`."""
        return 1.0


@dataclass(frozen=True)
class WarmupCosine(Schedule):
    """Linear from 0 to 1 over the first epochs, then a half cosine down to `floor` (Xie et al. 2024: 2e-5 to 1e-7).

    Args:
        warmup: length of the rise in epochs.
        floor: the last factor.
        until: epoch at which the floor is reached; default the end of training. (The authors' code: 20 of 25.)

    Raises:
        ModelError: values that make no schedule; no end of training, and no `until`.

    >>> schedule = WarmupCosine(warmup=1, floor=0.1)
    >>> [round(schedule(epoch, 3), 3) for epoch in (0, 0.5, 1, 2, 3)]
    [0.0, 0.5, 1.0, 0.55, 0.1]
    """

    warmup: float = 1.0
    floor: float = 0.005
    until: float | None = None

    def __post_init__(self) -> None:
        until = self.warmup if self.until is None else self.until
        if not (0 <= self.warmup <= until < math.inf and 0 <= self.floor <= 1):
            raise ModelError(f"{self}: give warmup >= 0, floor in [0, 1] and until >= warmup")

    def __call__(self, epoch: float, epochs: float) -> float:
        """Like `Schedule.__call__`."""
        if epoch < self.warmup:
            return epoch / self.warmup
        end = self.until if self.until is not None else epochs
        if math.isinf(end):
            raise ModelError("WarmupCosine has to know the last epoch: set trainer.max_epochs, or the schedule's until")
        progress = min((epoch - self.warmup) / max(end - self.warmup, 1e-9), 1.0)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class StepDecay(Schedule):
    """Multiplied by `gamma` after each epoch (Oncescu et al. 2021).

    Args:
        gamma: the factor of one epoch.
        trained_epochs: epochs of an earlier training whose decay continues here; the authors fine-tune so, with 20.

    Raises:
        ModelError: values that make no schedule.

    >>> schedule = StepDecay(0.5)
    >>> [schedule(epoch, 3) for epoch in (0.5, 1, 1.25, 2, 2.5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    gamma: float = 0.95
    trained_epochs: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.gamma <= 1 and self.trained_epochs >= 0):
            raise ModelError(f"{self}: give gamma in (0, 1] and trained_epochs >= 0")

    def __call__(self, epoch: float, epochs: float) -> float:
        """Like `Schedule.__call__`."""
        # At an epoch's last batch `epoch` is whole already.
        return self.gamma ** (self.trained_epochs + max(math.ceil(epoch) - 1, 0))


def begin_rates(optimizer: Optimizer) -> None:
    """Remember the learning rate of each parameter group as its highest, and as the schedule's own."""
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
        group["scheduled_lr"] = group["lr"]


def set_rates(optimizer: Optimizer, factor: float) -> None:
    """Set the rate of each group to its highest times `factor`; one that somebody else set or added stays as it is.

    Callbacks such as Lightning's `BaseFinetuning` add groups, or change the rate of one, and know why.
    """
    for group in optimizer.param_groups:
        if "initial_lr" in group and group["lr"] == group.get("scheduled_lr", group["lr"]):
            group["lr"] = group["scheduled_lr"] = group["initial_lr"] * factor


def rates(optimizer: Optimizer) -> dict[str, float]:
    """The learning rate now of each named group, and of the first without a name (under "")."""
    return {group.get("name", ""): group["lr"] for group in reversed(optimizer.param_groups)}
