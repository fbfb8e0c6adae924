"""Co-attention: a small cross-encoder that scores the best items of a first stage again."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import ModelError
from common.numbers import check_numbers
from evaluation.scores import EmbeddingScores, Scores
from evaluation.two_stage_scores import PAIRS, TwoStageScores
from lightning_modules.matchers.base import Matcher
from lightning_modules.matchers.packed_states import mean_state, pack_projected, unpack
from lightning_modules.states import Encoded


class CoAttention(Matcher):
    """A first stage of mean vectors, and a network that reads the words and the frames of a pair together.

    The first stage is the cosine of the mean word and the mean frame. The network has one affinity of words and frames,
    S = T W F^T / sqrt(D): each word takes a mean of the frames by softmax over them, each frame one of the words; words
    and frames times what they took are averaged over the pair and go through a small network to one number c in
    (-1, 1). A pair scores (1 - share) cosine + share c. In training all pairs of a batch are scored so; in evaluation
    those of the `top` best items of the first stage, which then stand above all others: `evaluation.two_stage_scores`,
    which logs how many pairs that took, and how long.

    Args:
        embedding_dim: D.
        top: items of each query that are scored again.
        share: of the network in a score; 0 is the first stage alone.
        frames: of a recording at most; where an encoder gives more, each is the mean of a stretch.
        words: of a caption at most, likewise.

    Raises:
        ModelError: a number is out of range.

    Relations: `LateInteraction` and `TextAwarePooling` score every pair of a pool, with less interaction. A batch of B
    pairs is scored by B x B passes of the network, so D should be small.

    Source: Lu et al. 2016, "Hierarchical question-image co-attention for visual question answering", section 3.3
    (parallel co-attention); the products of words and what they took are a choice of ours.
    """

    takes_states = True

    def __init__(
        self, embedding_dim: int = 64, top: int = 50, share: float = 0.5, frames: int = 32, words: int = 32
    ) -> None:
        super().__init__()
        sizes = {"embedding_dim": embedding_dim, "top": top, "frames": frames, "words": words}
        check_numbers(ModelError, "CoAttention", 1, **sizes)
        check_numbers(ModelError, "CoAttention", 0, 1, share=share)
        self.embedding_dim, self.top, self.share, self.frames, self.words = embedding_dim, top, share, frames, words

    def connect(self, audio_dim: int, text_dim: int) -> None:
        """Make the projections and the network."""
        dim = self.embedding_dim
        self.audio_head, self.text_head = nn.Linear(audio_dim, dim), nn.Linear(text_dim, dim)
        self.audio_norm, self.words_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.affinity = nn.Linear(dim, dim, bias=False)
        self.network = nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, 1))

    def audio(self, encoded: Encoded) -> Tensor:
        """Frames and which of them there are (A, frames, D + 1)."""
        return pack_projected(encoded, self.audio_head, self.frames)

    def text(self, encoded: Encoded) -> Tensor:
        """Words and which of them there are (C, words, D + 1)."""
        return pack_projected(encoded, self.text_head, self.words)

    def scores(self, text: Tensor, audio: Tensor) -> Tensor:
        """Scores (C, A) of all pairs."""
        captions = torch.arange(len(text), device=text.device).repeat_interleave(len(audio))
        recordings = torch.arange(len(audio), device=text.device).repeat(len(text))
        pairs = zip(captions.split(PAIRS), recordings.split(PAIRS), strict=True)
        return torch.cat([self.of_pairs(text[some], audio[others]) for some, others in pairs]).view(len(text), -1)

    def of_pairs(self, text: Tensor, audio: Tensor) -> Tensor:
        """Scores (P,) of packed captions (P, words, D + 1) and the recordings in the same places."""
        with torch.autocast(text.device.type, enabled=False):
            cosine = (self.vectors(text) * self.vectors(audio)).sum(1)
            (words, said), (frames, heard) = unpack(text.float()), unpack(audio.float())
            words, frames = self.words_norm(words), self.audio_norm(frames)
            affinity = self.affinity(words) @ frames.transpose(1, 2) / self.embedding_dim**0.5  # (P, W, F)
            of_words = torch.softmax(affinity.masked_fill(~heard[:, None], -torch.inf), dim=2) @ frames  # (P, W, D)
            of_frames = torch.softmax(affinity.masked_fill(~said[:, :, None], -torch.inf), dim=1)
            of_frames = of_frames.transpose(1, 2) @ words  # (P, F, D)
            both = torch.cat([_mean(words * of_words, said), _mean(frames * of_frames, heard)], dim=1)  # (P, 2 D)
            return (1 - self.share) * cosine + self.share * torch.tanh(self.network(both)[:, 0])

    def vectors(self, embedded: Tensor) -> Tensor:
        """Unit vectors (N, D) of the first stage."""
        return F.normalize(mean_state(embedded.float()), dim=1)

    def pool_scores(self, text: Tensor, audio: Tensor) -> Scores:
        """The first stage as one product, its best items scored again."""
        first = EmbeddingScores(self.vectors(text), self.vectors(audio))
        return TwoStageScores(first, self.of_pairs, text, audio, self.top)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Means (P, D) of those of (P, L, D) that there are (P, L)."""
    return values.masked_fill(~mask[:, :, None], 0).sum(1) / mask.sum(1, keepdim=True)
