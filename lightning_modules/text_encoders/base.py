"""The interface of text encoders, and what they share."""

import re
from typing import Literal

from torch import Tensor

from lightning_modules.states import Encoded, States
from lightning_modules.training.freezing import Freezable

Pooling = Literal["first", "mean", "none"]


class TextEncoder(Freezable):
    """Base of all text encoders.

    Attributes:
        dim: size of the embeddings.
    """

    dim: int

    def forward(self, captions: list[str]) -> Encoded:
        """Embed C captions: (C, dim), not normalised, or the states of their tokens; float32, or the autocast type."""
        raise NotImplementedError


def normalise_caption(caption: str) -> str:
    """Lower case, no punctuation but apostrophes, single spaces.

    >>> normalise_caption("A dog's bark, while  rain falls.")
    "a dog's bark while rain falls"
    """
    return " ".join(re.sub(r"[^\w\s']|_", " ", caption.lower()).split())


def pool_tokens(hidden: Tensor, mask: Tensor, pooling: Pooling) -> Encoded:
    """One vector of each caption (C, D) from token states (C, L, D) and mask (C, L), 1 for tokens and 0 for padding.

    With "none" the states themselves; the padding comes after the tokens.
    """
    if pooling == "none":
        return States(hidden, mask.sum(dim=1))
    if pooling == "first":
        return hidden[:, 0]
    weights = mask[:, :, None].to(hidden.dtype)  # (C, L, 1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1)
