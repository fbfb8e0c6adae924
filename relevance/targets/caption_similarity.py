"""Graded relevance learned from captions: what is said alike is taken to sound alike."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.directions import TEXT_TO_AUDIO, Direction
from common.disk_cache import DType
from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.base import Relevance
from relevance.caption_embeddings import embed_captions
from relevance.mapped_table import mapped_table
from relevance.objectives.listnet import ListNet
from relevance.scoring import Logistic, Scoring


def caption_similarity(queries: Tensor, items: Tensor) -> Tensor:
    """Cosine similarity h (Q, N) float32 in [-1, 1] of unit-length caption embeddings (Q, D) and (N, D)."""
    with torch.autocast(queries.device.type, enabled=False):
        return (queries.float() @ items.float().T).clamp(-1.0, 1.0)


class CaptionSimilarity(Relevance):
    """g = f(h): Sentence-BERT cosine h of two captions, turned into relevance by a scoring function f.

    No Sentence-BERT runs in a training step: a batch's embeddings are looked up by caption id in a memory-mapped table
    (on the CPU; on a GPU the table is copied there at the first use).

    Args:
        model: hub name, local folder, or `package:NAME/FOLDER`.
        scoring: f; default the logistic function fitted to human ratings.
        revision: of a hub model.
        cache_dir: where tables are kept; default `common.cache_dir.default_cache_dir()`.
        dtype: of the table; float16 halves it and moves h by less than 1e-3.
        batch_size: captions a Sentence-BERT forward.
        devices: embed in a process on each of them, such as [cuda:0, cuda:1] or [cpu, cpu]; one name: in this process,
            there; default: in this process, on a GPU if there is one. The table is the same.

    Relations: take `SameAudio` where captions say little of the sound, or are all alike, and `MixedTargets` where a
    caption's own recording should have a fixed share of the target.

    Source: Xie et al. 2024, section III-A, eq. 1.
    """

    symmetric = True
    citation, bibtex = ListNet.citation, ListNet.bibtex

    def __init__(
        self,
        model: str = "sentence-transformers/all-mpnet-base-v2",
        scoring: Scoring = Logistic(),  # noqa: B008 (frozen)
        revision: str | None = None,
        cache_dir: str | None = None,
        dtype: DType = "float32",
        batch_size: int = 64,
        devices: list[str] | None = None,
    ) -> None:
        super().__init__()
        check_numbers(RelevanceError, "CaptionSimilarity", 1, batch_size=batch_size)
        self.model = model
        self.scoring = scoring
        self.revision = revision
        self.cache_dir = None if cache_dir is None else Path(cache_dir).expanduser()
        self.dtype: DType = dtype
        self.batch_size = batch_size
        self.devices = devices
        self._table: Tensor | None = None  # (C, D) not a buffer: DDP would broadcast it at every step

    def encode(self, captions: Sequence[str]) -> None:
        """Like `Relevance.encode`: embed what is not in the cache yet, with a progress bar."""
        self.embed(captions)

    def prepare(self, captions: Sequence[str], audio_ids: npt.NDArray[np.int64]) -> None:
        """Like `Relevance.prepare`: map the table into memory."""
        self._table = mapped_table(self.embed(captions).filename)  # type: ignore[attr-defined]

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction = TEXT_TO_AUDIO) -> Tensor:
        """Like `Relevance.forward`."""
        return self.scoring(self.similarity(query_ids, item_ids))

    def similarity(self, query_ids: Tensor, item_ids: Tensor) -> Tensor:
        """h (Q, N) float32 of captions `query_ids` (Q,) and `item_ids` (N,)."""
        if self._table is None:
            raise RelevanceError("CaptionSimilarity was called before prepare(): it has no caption embeddings")
        if self._table.device != query_ids.device:
            self._table = self._table.to(query_ids.device)
        return caption_similarity(self._table[query_ids], self._table[item_ids])

    def embed(self, captions: Sequence[str]) -> npt.NDArray[np.floating]:
        """The table (C, D) of unit-length embeddings of `captions`, memory-mapped; see `embed_captions`."""
        return embed_captions(
            captions,
            self.model,
            revision=self.revision,
            cache_dir=self.cache_dir,
            dtype=self.dtype,
            batch_size=self.batch_size,
            devices=self.devices,
        )
