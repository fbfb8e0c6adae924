"""The interface of text encoders, and what they share."""

import re
import string
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lightning_modules.states import Encoded, States
from lightning_modules.training.freezing import Freezable

Vectors = npt.NDArray[np.floating]
Pooling = Literal["first", "mean", "none"]
Normalisation = Literal["words", "dcase2025"]


class TextEncoder(Freezable):
    """Base of all text encoders.

    Attributes:
        dim: size of the embeddings.
        longest: tokens that it gives of a caption at most; None: not known.
        limit_name: the option that sets how much is read of a caption.
    """

    dim: int
    longest: int | None = None
    limit_name: str = "max_tokens"

    def forward(self, captions: list[str]) -> Encoded:
        """Embed C captions: (C, dim), not normalised, or the states of their tokens; float32, or the autocast type."""
        raise NotImplementedError

    def kept(self, captions: Sequence[str]) -> Vectors | None:
        """What `forward` gives for all captions of the data (C, dim), where it is in a table already; else None."""
        return None

    def count_cut(self, captions: Sequence[str]) -> int:
        """How many captions are longer than what is read of them."""
        return 0


def normalise_caption(caption: str, rule: Normalisation = "words") -> str:
    """Lower case without punctuation: "words" puts single spaces in its place and keeps apostrophes.

    "dcase2025" deletes it, as the baseline of DCASE 2025 task 6 does: each of the 32 signs of ASCII, and nothing else.

    >>> normalise_caption("A dog's bark over a walkie-talkie,  then rain.")
    "a dog's bark over a walkie talkie then rain"
    >>> normalise_caption("A dog's bark over a walkie-talkie,  then rain.", "dcase2025")
    'a dogs bark over a walkietalkie  then rain'
    """
    if rule == "dcase2025":
        return caption.lower().translate(str.maketrans("", "", string.punctuation))
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
