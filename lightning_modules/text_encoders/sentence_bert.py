"""Frozen Sentence-BERT as a text encoder."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from common.errors import ModelError
from common.numbers import check_numbers
from common.pretrained import find_model
from lightning_modules.text_encoders.base import TextEncoder, Vectors
from relevance.caption_embeddings import embed_captions, load_sentence_bert


class SentenceBert(TextEncoder):
    """Unit-length embeddings of captions by a Sentence-BERT, never trained.

    With `model.cache_frozen` they come out of the table that `CaptionSimilarity` keeps of the same model, so captions
    are embedded once for both, and the model is loaded for other texts only. It is not kept in checkpoints.

    Args:
        model: hub name, local folder, or `package:NAME/FOLDER`.
        dim: size of its embeddings.
        revision: of a hub model.

    Raises:
        ModelError: `dim` is below 1; later, the model gives embeddings of another size.
    """

    def __init__(
        self, model: str = "sentence-transformers/all-mpnet-base-v2", dim: int = 768, revision: str | None = None
    ) -> None:
        super().__init__()
        check_numbers(ModelError, "SentenceBert", 1, dim=dim)
        self.model, self.dim, self.revision = model, dim, revision
        self._loaded: list[Any] = []  # a list hides its weights, which are not this model's
        self.register_buffer("here", torch.empty(0), persistent=False)  # where embeddings go

    def forward(self, captions: list[str]) -> Tensor:
        """Embeddings (C, dim) float32."""
        if not self._loaded:
            self._loaded.append(load_sentence_bert(find_model(self.model, self.revision), self.revision, None))
        embeddings = self._loaded[0].encode(captions, normalize_embeddings=True, show_progress_bar=False)
        here: Tensor = self.here  # type: ignore[assignment]
        return torch.from_numpy(self._checked(embeddings)).to(here.device)

    def kept(self, captions: Sequence[str]) -> Vectors:
        """Like `TextEncoder.kept`."""
        return self._checked(embed_captions(captions, self.model, revision=self.revision))

    def _checked(self, embeddings: Vectors) -> Vectors:
        if embeddings.shape[1] != self.dim:
            raise ModelError(
                f"'{self.model}' gives embeddings of size {embeddings.shape[1]}, and model.text_encoder.dim says "
                f"{self.dim}; change it"
            )
        return embeddings
