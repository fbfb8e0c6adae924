"""Late interaction: each word looks for its frame."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import ModelError
from common.numbers import check_numbers
from evaluation.scores import FunctionScores, Scores
from lightning_modules.matchers.base import Matcher
from lightning_modules.matchers.packed_states import as_states, fixed_length
from lightning_modules.states import Encoded

ELEMENTS = 2**24
"""Similarities of words and frames that are held at once in evaluation: 64 MiB."""


def late_scores(text: Tensor, audio: Tensor, elements: int = ELEMENTS) -> Tensor:
    """Scores (C, A): the sum over words of the largest product with a frame.

    Args:
        text: (C, W, D), words divided by their number, zeros where there is none.
        audio: (A, F, D), where the first frame stands once more wherever there is none.
        elements: products held at once, where they are no more than those of one caption.
    """
    frames = audio.flatten(0, 1).T  # (D, A F)
    step = max(1, elements // (text.shape[1] * frames.shape[1]))
    parts = []
    for some in text.split(step):
        products = (some.flatten(0, 1) @ frames).view(*some.shape[:2], len(audio), audio.shape[1])  # (c, W, A, F)
        parts.append(products.amax(3).sum(1))
    return torch.cat(parts)


class LateInteraction(Matcher):
    """The mean over a caption's words of the largest cosine similarity with one of a recording's frames.

    Words and frames are projected apart and compared at the end alone, so that a recording is embedded once. It wants
    encoders that give tokens and frames (`pooling: none`); of one that gives a vector, that is the only state.

    Args:
        embedding_dim: of the shared space.
        frames: of a recording at most; where an encoder gives more, each is the mean of a stretch.
        words: of a caption at most, likewise.

    Raises:
        ModelError: a number is below 1.

    Relations: `Cosine` after `MaxPooling` takes the maximum of each dimension; here each word has a frame of its own.
    Evaluation takes W F times the products of `Cosine`, and an embedded recording F times the memory.

    Source: Khattab and Zaharia 2020, "ColBERT: efficient and effective passage search via contextualized late
    interaction over BERT", section 3.3; Yao et al. 2022, "FILIP: fine-grained interactive language-image pre-training",
    section 3.1 (the mean in place of the sum, in both directions here).
    """

    takes_states = True
    audio_head: nn.Module
    text_head: nn.Module

    def __init__(self, embedding_dim: int = 128, frames: int = 32, words: int = 32) -> None:
        super().__init__()
        check_numbers(ModelError, "LateInteraction", 1, embedding_dim=embedding_dim, frames=frames, words=words)
        self.embedding_dim, self.frames, self.words = embedding_dim, frames, words

    def connect(self, audio_dim: int, text_dim: int) -> None:
        """Make both projections."""
        self.audio_head = nn.Linear(audio_dim, self.embedding_dim)
        self.text_head = nn.Linear(text_dim, self.embedding_dim)

    def audio(self, encoded: Encoded) -> Tensor:
        """Unit vectors (A, frames, D); the first stands for those that are missing, which changes no maximum."""
        states = fixed_length(as_states(encoded), self.frames)
        unit = F.normalize(self.audio_head(states.values).float(), dim=2)
        return torch.where(states.mask[:, :, None], unit, unit[:, :1])

    def text(self, encoded: Encoded) -> Tensor:
        """Unit vectors divided by their number (C, words, D); zeros stand for those that are missing."""
        states = fixed_length(as_states(encoded), self.words)
        unit = F.normalize(self.text_head(states.values).float(), dim=2)
        return unit.masked_fill(~states.mask[:, :, None], 0) / states.lengths[:, None, None]

    def scores(self, text: Tensor, audio: Tensor) -> Tensor:
        """Means of largest cosine similarities (C, A)."""
        with torch.autocast(text.device.type, enabled=False):
            return late_scores(text.float(), audio.float())

    def vectors(self, embedded: Tensor) -> Tensor:
        """The mean of the words or frames (N, D)."""
        return embedded.mean(1)

    def pool_scores(self, text: Tensor, audio: Tensor) -> Scores:
        """Blocks of scores, without the places that no caption of the pool has a word in."""
        used = text.ne(0).any(2).any(0).nonzero()
        return FunctionScores(self.scores, text[:, : int(used.max()) + 1] if len(used) else text, audio)
