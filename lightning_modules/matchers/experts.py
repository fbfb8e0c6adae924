"""What matchers of experts share: the text side, the weights of experts, and the score."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from common.errors import ModelError
from evaluation.gated_scores import GatedScores, gated_scores
from lightning_modules.matchers.base import Matcher
from lightning_modules.matchers.gated_units import GatedUnit
from lightning_modules.states import Encoded, ExpertSize, ExpertVectors

SMALLEST_WEIGHT = 1e-20
"""Of an expert, so that a recording that has this expert alone has a score."""


class ExpertMatcher(Matcher):
    """Scores are weighted means over experts: sum_e w_e p_e <t_e, a_e> / sum_e w_e p_e.

    The weights w of M experts are a softmax of what the caption says; p is 1 where a recording has the expert, else 0.
    What is embedded are rows of D + M numbers: the unit vectors of all experts side by side, D in all, those of a
    caption times w and those of a recording times p, and behind them w or p; see `evaluation.gated_scores.GatedScores`.
    A subclass makes the audio side. An audio encoder that gives one vector is one expert, `audio`.
    """

    takes_experts = True

    def connect(self, audio_dim: int, text_dim: int) -> None:
        """Make the parts for a single expert, the audio encoder."""
        self.connect_experts({"audio": ExpertSize(audio_dim, audio_dim)}, text_dim)

    def connect_experts(self, experts: Mapping[str, ExpertSize], text_dim: int) -> None:
        """Make the parts of each expert, and a gated unit of the text for it."""
        self.names = sorted(experts)
        dims = self.connect_audio({name: experts[name] for name in self.names})
        self.text_units = nn.ModuleDict({name: GatedUnit(text_dim, dims[name]) for name in self.names})
        self.text_weights = nn.Linear(text_dim, len(self.names))

    def connect_audio(self, experts: Mapping[str, ExpertSize]) -> dict[str, int]:
        """Make the audio side; the size of the vectors that are compared, by expert."""
        raise NotImplementedError

    def embed_experts(self, vectors: dict[str, Tensor], present: Tensor) -> list[Tensor]:
        """Unit vectors (A, D_e) of each expert, from pooled ones and presence (A, M) bool."""
        raise NotImplementedError

    def text(self, encoded: Encoded) -> Tensor:
        """Weighted vectors of all experts, and the weights (C, D + M)."""
        assert isinstance(encoded, Tensor)  # `takes_states` is false
        self._check_rows(len(encoded))
        weights = torch.softmax(self.text_weights(encoded).float(), dim=1).clamp_min(SMALLEST_WEIGHT)  # (C, M)
        return _side_by_side([self.text_units[name](encoded) for name in self.names], weights)

    def audio(self, encoded: Encoded) -> Tensor:
        """Vectors of all experts, zeros for those that are missing, and which are present (A, D + M)."""
        if isinstance(encoded, Tensor):
            encoded = ExpertVectors({"audio": encoded}, torch.ones_like(encoded[:, :1], dtype=torch.bool))
        assert isinstance(encoded, ExpertVectors)
        self._check_rows(len(encoded.present))
        return _side_by_side(self.embed_experts(encoded.vectors, encoded.present), encoded.present.float())

    def _check_rows(self, rows: int) -> None:
        if self.training and rows == 1:
            raise ModelError(
                "a training batch holds a single pair, which batch normalisation cannot take; choose another "
                "data.batch_size, so that the last batch of an epoch holds more"
            )

    def scores(self, text: Tensor, audio: Tensor) -> Tensor:
        """Weighted means of cosine similarities (C, A)."""
        with torch.autocast(text.device.type, enabled=False):
            return gated_scores(text.float(), audio.float(), len(self.names))

    def pool_scores(self, text: Tensor, audio: Tensor) -> GatedScores:
        """Two products for each block, whichever experts a recording has."""
        return GatedScores(text, audio, len(self.names))


def _side_by_side(vectors: list[Tensor], gates: Tensor) -> Tensor:
    """(B, D + M) of vectors (B, D_e), each times its gate, and the gates (B, M)."""
    return torch.cat([*(gate * vector for gate, vector in zip(gates.split(1, 1), vectors, strict=True)), gates], dim=1)
