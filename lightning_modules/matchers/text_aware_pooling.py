"""Text-aware attention pooling: each caption pools a recording's frames in its own way."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.matchers.base import Matcher
from lightning_modules.matchers.packed_states import as_vector, mean_state, pack_projected, unpack
from lightning_modules.states import Encoded

ELEMENTS = 2**24
"""Numbers of pooled vectors that are held at once: 64 MiB."""


class TextAwarePooling(Matcher):
    """Cosine of a caption t and what it makes of a recording's frames F: LN(r + FC(r)), r = LN(W_o attention(t, F)).

    The attention is softmax(LN(t) W_q (LN(F) W_k)^T / sqrt(D)) LN(F) W_v, with one head. All weights begin as the
    identity, so that at first a caption takes a mean of the frames that are like it. It wants an audio encoder that
    gives frames (`pooling: none`), and one vector of a caption; of tokens the mean is taken.

    Args:
        embedding_dim: D.
        frames: of a recording at most; where an encoder gives more, each is the mean of a stretch.
        dropout: of FC in training.

    Raises:
        ModelError: a number is out of range.

    Relations: `AttentionPooling` pools a recording once for all captions. Here a batch of B pairs makes B x B vectors,
    and evaluation one for each caption and recording.

    Source: Xin et al. 2023, "Improving text-audio retrieval by text-aware attention pooling and prior matrix revised
    loss", after Gorti et al. 2022, "X-Pool: cross-modal language-video attention for text-video retrieval".
    """

    takes_states = True

    def __init__(self, embedding_dim: int = 256, frames: int = 32, dropout: float = 0.1) -> None:
        super().__init__()
        check_numbers(ModelError, "TextAwarePooling", 1, embedding_dim=embedding_dim, frames=frames)
        check_numbers(ModelError, "TextAwarePooling", 0, 1, dropout=dropout)
        self.embedding_dim, self.frames, self.dropout = embedding_dim, frames, dropout

    def connect(self, audio_dim: int, text_dim: int) -> None:
        """Make the projections and the attention."""
        dim = self.embedding_dim
        self.audio_head, self.text_head = nn.Linear(audio_dim, dim), nn.Linear(text_dim, dim)
        self.audio_norm, self.query_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query, self.key, self.value, self.output = (_identity(dim) for _ in range(4))
        self.pooled_norm, self.last_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.project = nn.Sequential(_identity(dim), nn.Dropout(self.dropout))

    def audio(self, encoded: Encoded) -> Tensor:
        """Frames and which of them there are (A, frames, D + 1)."""
        return pack_projected(encoded, self.audio_head, self.frames)

    def text(self, encoded: Encoded) -> Tensor:
        """Vectors (C, D)."""
        return self.text_head(as_vector(encoded)).float()  # type: ignore[no-any-return]

    def scores(self, text: Tensor, audio: Tensor) -> Tensor:
        """Cosine similarities (C, A) of captions and what they pool."""
        with torch.autocast(text.device.type, enabled=False):
            frames, mask = unpack(audio.float())  # (A, F, D), (A, F)
            normed = self.audio_norm(frames)
            # The output layer is linear and weights sum to 1, so it may come before the weighted mean: once a frame.
            keys, values = self.key(normed), self.output(self.value(normed))
            step = max(1, ELEMENTS // (len(audio) * max(self.frames, self.embedding_dim)))
            parts = [self._scores(some, keys, values, mask) for some in text.float().split(step)]
            return torch.cat(parts)

    def _scores(self, text: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        queries = self.query(self.query_norm(text))  # (c, D)
        logits = torch.einsum("cd,afd->caf", queries, keys) / self.embedding_dim**0.5
        weights = torch.softmax(logits.masked_fill(~mask, -torch.inf), dim=2)  # (c, A, F)
        pooled = self.pooled_norm(torch.einsum("caf,afd->cad", weights, values))  # (c, A, D)
        pooled = self.last_norm(pooled + self.project(pooled))
        return torch.einsum("cad,cd->ca", F.normalize(pooled, dim=2), F.normalize(text, dim=1))

    def vectors(self, embedded: Tensor) -> Tensor:
        """Captions as they are, and the mean of a recording's frames (N, D)."""
        return embedded if embedded.ndim == 2 else mean_state(embedded)


def _identity(dim: int) -> nn.Linear:
    """A linear layer (D, D) that begins as the identity."""
    layer = nn.Linear(dim, dim)
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
