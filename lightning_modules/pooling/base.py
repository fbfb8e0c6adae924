"""The interface of pooling parts."""

from torch import Tensor, nn

from lightning_modules.states import States


class Pooling(nn.Module):
    """From states (B, L, D) to one vector each, whatever lies in the padding."""

    def connect(self, dim: int) -> int:
        """Make the weights for states of size `dim`; the size of the vectors."""
        return dim

    def forward(self, states: States) -> Tensor:
        """Vectors (B, D)."""
        raise NotImplementedError
