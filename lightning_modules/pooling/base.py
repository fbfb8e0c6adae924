"""The interface of pooling parts."""

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
