"""The matcher of encoders that project into one space themselves."""

import torch.nn.functional as F
from torch import Tensor

from common.errors import ModelError
from lightning_modules.matchers.cosine import Cosine
from lightning_modules.states import Encoded


class Projected(Cosine):
    """No heads: what the encoders give is compared as it is.

    Args:
        normalise: compare by cosine similarity; otherwise by the product of the vectors.
    """

    def __init__(self, normalise: bool = True) -> None:
        super().__init__()
        self.normalise = self.unit_length = normalise

    def connect(self, audio_dim: int, text_dim: int) -> None:
        """Check that both encoders give vectors of one size.

        Raises:
            ModelError: they do not.
        """
        if audio_dim != text_dim:
            raise ModelError(
                f"model.matcher: Projected has no heads, but the audio encoder gives {audio_dim} numbers and the text "
                f"encoder {text_dim}; take Cosine, which brings both into one space"
            )
        self.embedding_dim = audio_dim

    def audio(self, encoded: Encoded) -> Tensor:
        """Vectors (A, D)."""
        return self._vectors(encoded)

    def text(self, encoded: Encoded) -> Tensor:
        """Vectors (C, D)."""
        return self._vectors(encoded)

    def _vectors(self, encoded: Encoded) -> Tensor:
        assert isinstance(encoded, Tensor)  # `takes_states` is false
        return F.normalize(encoded.float(), dim=1) if self.normalise else encoded.float()
