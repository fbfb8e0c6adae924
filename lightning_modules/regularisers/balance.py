"""Embeddings should use their dimensions alike."""

from typing import ClassVar

import torch
from torch import Tensor

from lightning_modules.regularisers.base import Embedded, Regulariser


def balance(vectors: Tensor) -> Tensor:
    """mean |e| / sqrt(sum e^2) over all numbers of a batch (B, D), a scalar: at most 1 / sqrt(B D), there if all are
    equally large.

    >>> balance(torch.tensor([[1.0, -1.0], [1.0, 1.0]])), balance(torch.tensor([[2.0, 0.0], [0.0, 0.0]]))
    (tensor(0.5000), tensor(0.2500))
    """
    vectors = vectors.float()
    return vectors.abs().mean() / vectors.square().sum().sqrt()


class EmbeddingBalance(Regulariser):
    """`balance` of recordings plus that of captions.

    To minimise it makes embeddings sparse: few dimensions of an input are large. The name is the field's.

    Args:
        weight: of the term.

    Raises:
        ModelError: the weight is negative.

    Relations: `VICReg` asks for the reverse, that all dimensions vary; the two should not be used together.

    Source: the embedding term in the code of Mei et al. 2024 (WavCaps), which GLAP (Dinkel et al. 2025) takes over.
    """

    citation: ClassVar[str] = (
        'Mei et al. 2024, "WavCaps: a ChatGPT-assisted weakly-labelled audio captioning dataset for audio-language '
        'multimodal research"'
    )

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)

    def forward(self, embedded: Embedded) -> Tensor:
        """The sum of both modalities."""
        with torch.autocast(embedded.audio.device.type, enabled=False):
            return balance(embedded.audio) + balance(embedded.text)
