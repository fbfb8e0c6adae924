"""What an encoder gives: one vector of each input, or a vector of each of its tokens or frames."""

from typing import NamedTuple

import torch
from torch import Tensor


class States(NamedTuple):
    """Tokens of captions, or frames of recordings.

    Attributes:
        values: (B, L, D) float32 or the autocast type; what lies beyond a length is ignored.
        lengths: (B,) int64, from 1 to L.
    """

    values: Tensor
    lengths: Tensor

    @property
    def mask(self) -> Tensor:
        """Whether a position holds a state: (B, L) bool."""
        return torch.arange(self.values.shape[1], device=self.lengths.device) < self.lengths[:, None]


Encoded = Tensor | States
"""One vector of each input (B, D), or its states."""
