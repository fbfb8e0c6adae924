"""The largest value over all states."""

import torch
from torch import Tensor

from lightning_modules.pooling.base import Pooling
from lightning_modules.states import States


class MaxPooling(Pooling):
    """The maximum of each dimension over a caption's tokens or a recording's frames; it has no weights.

    Relations: keeps what is heard once, which `MeanPooling` thins out.
    """

    def forward(self, states: States) -> Tensor:
        """The maxima (B, D)."""
        return states.values.masked_fill(~states.mask[:, :, None], -torch.inf).amax(1)
