"""The interface of pooling parts, and what they share."""

import torch
from torch import Tensor, nn

from lightning_modules.states import States


class Pooling(nn.Module):
    """From states (B, L, D) to one vector each, whatever lies in the padding."""

    def connect(self, dim: int, longest: int | None = None) -> int:
        """Make the weights; the size of the vectors.

        Args:
            dim: of the states.
            longest: L at most; None: not known.
        """
        return dim

    def forward(self, states: States) -> Tensor:
        """Vectors (B, D)."""
        raise NotImplementedError


def weighted_mean(states: States, scores: Tensor) -> Tensor:
    """Means (B, D) of states whose padding is finite, weighted by a softmax of scores (B, L) over what is no padding.

    >>> states = States(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([2]))
    >>> weighted_mean(states, torch.zeros(1, 3))
    tensor([[2.]])
    """
    weights = torch.softmax(scores.float().masked_fill(~states.mask, -torch.inf), dim=1)  # (B, L)
    return torch.einsum("bl,bld->bd", weights.to(states.values.dtype), states.values)
