"""A weighted mean of the states, whose weights come from a gated network."""

import torch
from torch import Tensor, nn

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.pooling.base import Pooling, weighted_mean
from lightning_modules.states import States


class GatedPooling(Pooling):
    """The mean weighted by softmax(w . (tanh(V x) * sigmoid(U x))).

    Args:
        hidden: size of V's and U's outputs.

    Raises:
        ModelError: `hidden` is below 1.

    Relations: `AttentionPooling` has no gate U; tanh alone is almost linear near 0, which the gate makes up for.

    Source: Ilse et al. 2018, "Attention-based deep multiple instance learning", equation 9.
    """

    def __init__(self, hidden: int = 128) -> None:
        super().__init__()
        check_numbers(ModelError, "GatedPooling", 1, hidden=hidden)
        self.hidden = hidden

    def connect(self, dim: int, longest: int | None = None) -> int:
        """Make V, U and w."""
        self.value, self.gate = nn.Linear(dim, self.hidden), nn.Linear(dim, self.hidden)
        self.score = nn.Linear(self.hidden, 1, bias=False)
        return dim

    def forward(self, states: States) -> Tensor:
        """The weighted means (B, D)."""
        values = states.values.masked_fill(~states.mask[:, :, None], 0)  # (B, L, D)
        gated = torch.tanh(self.value(values)) * torch.sigmoid(self.gate(values))  # (B, L, hidden)
        return weighted_mean(States(values, states.lengths), self.score(gated)[:, :, 0])
