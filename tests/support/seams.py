"""A second implementation of each seam of the model: a directed relevance, several vectors, tokens and frames."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.directions import TEXT_TO_AUDIO, Direction
from lightning_modules.audio_encoders.base import AudioEncoder, silence_padding
from lightning_modules.matchers import Matcher
from lightning_modules.states import Encoded, States
from lightning_modules.text_encoders.base import TextEncoder
from relevance.base import Relevance


class DirectedRelevance(Relevance):
    """How well caption i describes recording j, drawn at random: not how well caption j describes recording i."""

    def prepare(self, captions: Any, audio_ids: Any) -> None:
        generator = torch.Generator().manual_seed(3)
        self.table = torch.rand(len(captions), len(captions), generator=generator)  # (captions, recordings of captions)

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction) -> Tensor:
        if direction == TEXT_TO_AUDIO:
            return self.table[query_ids][:, item_ids]
        return self.table[item_ids][:, query_ids].T


class TwoVectors(Matcher):
    """Two unit vectors of each input; the score is that of the better pair, and captions weigh their two."""

    def __init__(self, dim: int = 5) -> None:
        super().__init__()
        self.dim = dim

    def connect(self, audio_dim: int, text_dim: int) -> None:
        self.audio_heads, self.text_heads = nn.Linear(audio_dim, 2 * self.dim), nn.Linear(text_dim, 2 * self.dim)

    def audio(self, encoded: Encoded) -> Tensor:
        assert isinstance(encoded, Tensor)
        return F.normalize(self.audio_heads(encoded).unflatten(1, (2, self.dim)), dim=2)  # (A, 2, D)

    def text(self, encoded: Encoded) -> Tensor:
        assert isinstance(encoded, Tensor)
        return F.normalize(self.text_heads(encoded).unflatten(1, (2, self.dim)), dim=2)  # (C, 2, D)

    def scores(self, text: Tensor, audio: Tensor) -> Tensor:
        pairs = torch.einsum("ced,aed->cae", text, audio)  # (C, A, 2)
        return 0.7 * pairs.amax(2) + 0.3 * pairs[:, :, 0]


class TokenText(TextEncoder):
    """A learned vector of each word; beyond a caption's words lies what must not be read."""

    def __init__(self, dim: int = 6) -> None:
        super().__init__()
        self.dim = dim
        self.words = nn.Embedding(128, dim)

    def forward(self, captions: list[str]) -> States:
        tokens = [self.words(torch.tensor([sum(map(ord, word)) % 128 for word in c.split()])) for c in captions]
        padded = nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=float("nan"))  # (C, L, D)
        return States(padded, torch.tensor([len(each) for each in tokens]))


class FramesAudio(AudioEncoder):
    """A vector of each 10 samples; beyond a clip's frames lies what must not be read."""

    sample_rate = 100

    def __init__(self, dim: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        self.dim = dim
        self.frames = nn.Linear(10, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> States:
        clean = F.pad(silence_padding(waveforms, lengths), (0, -waveforms.shape[1] % 10)).unfold(1, 10, 10)
        counts = (lengths + 9) // 10
        values = self.dropout(torch.tanh(self.frames(clean)))  # (B, F, D)
        padding = torch.arange(values.shape[1]) >= counts[:, None]
        return States(values.masked_fill(padding[:, :, None], float("nan")), counts)
