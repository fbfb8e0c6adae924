"""A weighted mean of the states, with learned weights."""

import torch
from torch import Tensor, nn

from lightning_modules.pooling.base import Pooling
from lightning_modules.states import States


class AttentionPooling(Pooling):
    """The mean weighted by softmax(w . tanh(V x)): which states count is learned.

    Args:
        hidden: size of V's output.

    Relations: with equal weights it is `MeanPooling`.

    Source: Yang et al. 2016, "Hierarchical attention networks for document classification", equations 5 to 7.
    """

    def __init__(self, hidden: int = 128) -> None:
        super().__init__()
        self.hidden = hidden

    def connect(self, dim: int, longest: int | None = None) -> int:
        """Make V and w."""
        self.score = nn.Sequential(nn.Linear(dim, self.hidden), nn.Tanh(), nn.Linear(self.hidden, 1, bias=False))
        return dim

    def forward(self, states: States) -> Tensor:
        """The weighted means (B, D)."""
        mask = states.mask
        values = states.values.masked_fill(~mask[:, :, None], 0)  # (B, L, D)
        scores = self.score(values)[:, :, 0].float().masked_fill(~mask, -torch.inf)  # (B, L)
        weights = torch.softmax(scores, dim=1).to(values.dtype)
        return torch.einsum("bl,bld->bd", weights, values)
