"""What an encoder gives: one vector of each input, a vector of each of its tokens or frames, or one of each expert."""

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


class ExpertVectors(NamedTuple):
    """What M experts say of recordings.

    Attributes:
        vectors: by name, in alphabetical order, (B, D_e) float32 or the autocast type; finite where one is missing too.
        present: (B, M) bool, which experts a recording has, in the same order.
    """

    vectors: dict[str, Tensor]
    present: Tensor


class ExpertSize(NamedTuple):
    """Sizes of an expert's vectors: of one frame, and of what pooling makes of all frames."""

    frame: int
    pooled: int


Encoded = Tensor | States | ExpertVectors
"""One vector of each input (B, D), its states, or a vector of each expert."""
