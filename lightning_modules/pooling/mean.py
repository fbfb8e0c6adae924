"""The mean of all states."""

from torch import Tensor

from lightning_modules.pooling.base import Pooling
from lightning_modules.states import States


class MeanPooling(Pooling):
    """The mean over a caption's tokens or a recording's frames; it has no weights.

    Relations: `AttentionPooling` learns which states count, at the price of a few weights.
    """

    def forward(self, states: States) -> Tensor:
        """The means (B, D)."""
        kept = states.values.masked_fill(~states.mask[:, :, None], 0)  # also where the padding holds NaN
        return kept.sum(1) / states.lengths[:, None].to(kept.dtype)
