"""Bounds on a trained temperature."""

import math
from typing import ClassVar

import torch

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.regularisers.base import Embedded, Regulariser
from relevance.objectives.base import Objective


class TemperatureBounds(Regulariser):
    """Keeps a trained temperature tau (`objective.learn_tau`) in a range: after each step it is put back into it.

    Args:
        low, high: ends of the range. Near 0.001 scores of fp32 cosines are too coarse, and a single wrong label
            dominates; CLIP's limit is 0.01. The upper end keeps the loss from being flat at the start.

    Raises:
        ModelError: the range is empty, or the objective trains no temperature.

    Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision", section 2.5
    (the lower end); Huang et al. 2024 (CUSA), 0.01 to 0.1.
    """

    citation: ClassVar[str] = (
        'Radford et al. 2021, "Learning transferable visual models from natural language supervision"'
    )

    def __init__(self, low: float = 0.01, high: float = 0.1) -> None:
        super().__init__(0.0)
        check_numbers(ModelError, "model.regularisers: TemperatureBounds", 1e-6, 1e6, low=low, high=high)
        if low > high:
            raise ModelError(f"model.regularisers: TemperatureBounds: low is {low:g}, above high, {high:g}")
        self.low, self.high = low, high

    def check(self, objective: Objective) -> None:
        """Like `Regulariser.check`."""
        if objective.log_tau is None:
            raise ModelError(
                f"model.regularisers: TemperatureBounds, but {type(objective).__name__} trains no temperature; set "
                "model.objective.learn_tau to true, or leave the bounds out"
            )

    def forward(self, embedded: Embedded) -> None:
        """No term."""
        return None

    @torch.no_grad()
    def after_step(self, objective: Objective) -> None:
        """Put tau back into the range."""
        assert objective.log_tau is not None
        objective.log_tau.clamp_(math.log(self.low), math.log(self.high))
