"""A small transformer over the states."""

import math

import torch
from torch import Tensor, nn

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.pooling.base import Pooling
from lightning_modules.states import States


class TransformerPooling(Pooling):
    """A transformer over the states and a learned token before them; the vector is what becomes of that token.

    With the windows of an encoder as states (`windows: none` of `PaSST` and `HuggingFaceAudio`), it takes the place of
    the mean over windows: a window is seen together with those before and after it. The place of a state is told by
    sines, so that no length is too long. Layers normalise first (pre-norm).

    Args:
        layers: of the transformer.
        heads: of its attention; they divide the size of the states.
        dropout: in training.

    Raises:
        ModelError: a number is out of range, or (in `connect`) heads do not divide the size of the states.

    Relations: `AttentionPooling` weighs states one by one and costs next to nothing; this one compares each pair of
    states, and has 12 D^2 weights a layer.

    Source: Vaswani et al. 2017, "Attention is all you need", sections 3.1 and 3.5; the token is that of Devlin et al.
    2019, "BERT".
    """

    def __init__(self, layers: int = 1, heads: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        check_numbers(ModelError, "TransformerPooling", 1, layers=layers, heads=heads)
        check_numbers(ModelError, "TransformerPooling", 0, 1, dropout=dropout)
        self.layers, self.heads, self.dropout = layers, heads, dropout

    def connect(self, dim: int, longest: int | None = None) -> int:
        """Make the token and the layers."""
        if dim % self.heads:
            raise ModelError(f"TransformerPooling: heads {self.heads} do not divide {dim}, the size of the states")
        layer = nn.TransformerEncoderLayer(
            dim, self.heads, 4 * dim, self.dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, self.layers, nn.LayerNorm(dim), enable_nested_tensor=False)
        self.token = nn.Parameter(torch.randn(dim) / dim**0.5)
        return dim

    def forward(self, states: States) -> Tensor:
        """The vectors (B, D)."""
        values = states.values.masked_fill(~states.mask[:, :, None], 0)  # (B, L, D)
        values = values + places(values.shape[1], values.shape[2], values.device).to(values.dtype)
        values = torch.cat([self.token.to(values.dtype).expand(len(values), 1, -1), values], dim=1)  # (B, 1 + L, D)
        padding = torch.cat([torch.zeros_like(states.mask[:, :1]), ~states.mask], dim=1)
        vectors: Tensor = self.encoder(values, src_key_padding_mask=padding)[:, 0]
        return vectors


def places(length: int, dim: int, device: torch.device) -> Tensor:
    """Sines and cosines (L, D) float32 of places 0 to L - 1, of wavelengths from 2 pi to 10,000 x 2 pi.

    >>> places(2, 2, torch.device("cpu"))
    tensor([[0.0000, 1.0000],
            [0.8415, 0.5403]])
    """
    rates = torch.exp(torch.arange(0, dim, 2, device=device) * (-math.log(10_000) / dim))  # (D / 2,) rounded up
    angles = torch.arange(length, device=device)[:, None] * rates  # (L, D / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :dim]
