"""Vectors that are NaN or infinite, named by what they are of."""

from collections.abc import Sequence

import torch
from torch import Tensor

from common.errors import ModelError


def check_finite(vectors: Tensor, names: Sequence[str], what: str) -> None:
    """Whether all vectors (N, ...) that a model gave are finite.

    Raises:
        ModelError: one is not; the message has its name.

    >>> check_finite(torch.tensor([[1.0], [torch.nan]]), ["a.wav", "b.wav"], "recording")
    Traceback (most recent call last):
    common.errors.ModelError: the model's embedding of recording 'b.wav' is NaN: ...
    """
    bad = ~torch.isfinite(vectors.detach()).flatten(1).all(dim=1)
    if not bad.any():
        return
    rows = bad.nonzero()[:, 0].tolist()
    value = "NaN" if torch.isnan(vectors[rows[0]]).any() else "infinite"
    if len(rows) == len(names) > 1:
        raise ModelError(
            f"the model's embeddings of all {len(rows)} {what}s of a batch, '{names[0]}' first, are {value}: training "
            "has diverged; continue from an earlier checkpoint with a lower model.optimizer.lr or with "
            "trainer.gradient_clip_val, or with trainer.precision 32-true"
        )
    raise ModelError(
        f"the model's embedding of {what} '{names[rows[0]]}' is {value}: leave it out of the data, or, if nothing is "
        "wrong with it, lower model.optimizer.lr or set trainer.precision 32-true"
    )
