"""One vector of each caption and recording, compared by cosine similarity."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.directions import Direction
from common.errors import ModelError
from common.numbers import check_numbers
from evaluation.scores import EmbeddingScores
from lightning_modules.matchers.base import Matcher
from lightning_modules.matchers.heads import Head, check_head, projection_head
from lightning_modules.states import Encoded


def cosine_scores(queries: Tensor, items: Tensor) -> Tensor:
    """Scores (Q, N) float32 of unit vectors (Q, D) and (N, D), whatever autocast does outside: in bf16 they tie."""
    with torch.autocast(queries.device.type, enabled=False):
        return queries.float() @ items.float().T


class Cosine(Matcher):
    """Projection heads into one space, L2 norm, cosine similarity.

    Args:
        embedding_dim: of the shared space.
        head: projection of both encoders.

    Raises:
        ModelError: another head, or `embedding_dim` is below 1.

    Source: Xie et al. 2024, section II-A.
    """

    unit_length = True
    audio_head: nn.Module
    text_head: nn.Module

    def __init__(self, embedding_dim: int = 1024, head: Head = "mlp") -> None:
        super().__init__()
        check_head(head)
        check_numbers(ModelError, "model.matcher", 1, embedding_dim=embedding_dim)
        self.embedding_dim, self.head = embedding_dim, head

    def connect(self, audio_dim: int, text_dim: int) -> None:
        """Make both heads."""
        self.audio_head = projection_head(self.head, audio_dim, self.embedding_dim)
        self.text_head = projection_head(self.head, text_dim, self.embedding_dim)

    def audio(self, encoded: Encoded) -> Tensor:
        """Unit vectors (A, D)."""
        return _unit(self.audio_head, encoded)

    def text(self, encoded: Encoded) -> Tensor:
        """Unit vectors (C, D)."""
        return _unit(self.text_head, encoded)

    def scores(self, text: Tensor, audio: Tensor) -> Tensor:
        """Cosine similarities (C, A)."""
        return cosine_scores(text, audio)

    def ranked(self, queries: Tensor, items: Tensor, direction: Direction) -> Tensor:
        """Cosine similarities (Q, N): the same in both directions."""
        return cosine_scores(queries, items)

    def within(self, queries: Tensor, others: Tensor) -> Tensor:
        """Cosine similarities (Q, N)."""
        return cosine_scores(queries, others)

    def pool_scores(self, text: Tensor, audio: Tensor) -> EmbeddingScores:
        """One product for each block."""
        return EmbeddingScores(text, audio)


def _unit(head: nn.Module, encoded: Encoded) -> Tensor:
    assert isinstance(encoded, Tensor)  # `takes_states` is false
    return F.normalize(head(encoded).float(), dim=1)
