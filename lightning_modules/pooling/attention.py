"""A weighted mean of the states, with learned weights."""

from torch import Tensor, nn

from lightning_modules.pooling.base import Pooling, weighted_mean
from lightning_modules.states import States


class AttentionPooling(Pooling):
    """The mean weighted by softmax(w . tanh(V x)): which states count is learned.

    Args:
        hidden: size of V's output.

    Relations: with equal weights it is `MeanPooling`; `GatedPooling` has a gate as well.

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
        values = states.values.masked_fill(~states.mask[:, :, None], 0)  # (B, L, D)
        return weighted_mean(States(values, states.lengths), self.score(values)[:, :, 0])
