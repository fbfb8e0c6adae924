"""Collects the pool: every recording and caption of a split, embedded once, gathered over devices."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from evaluation.embedding_pool import EmbeddingPool


class PoolCollector(Metric):
    """Collects a split's embeddings batch by batch; `compute` gathers them over ranks and drops repeats by id."""

    full_state_update = False
    audio: list[Tensor]
    audio_ids: list[Tensor]
    text: list[Tensor]
    caption_ids: list[Tensor]
    caption_audio_ids: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("audio", "audio_ids", "text", "caption_ids", "caption_audio_ids"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(
        self, audio: Tensor, audio_ids: Tensor, text: Tensor, caption_ids: Tensor, caption_audio_ids: Tensor
    ) -> None:
        """Add recordings (A, D), (A,) and captions (C, D), (C,), with the audio id (C,) each caption describes."""
        self.audio.append(audio.detach().float())
        self.audio_ids.append(audio_ids)
        self.text.append(text.detach().float())
        self.caption_ids.append(caption_ids)
        self.caption_audio_ids.append(caption_audio_ids)

    def compute(self) -> EmbeddingPool:
        """The pool in order of ids."""
        audio, audio_ids = _by_id(dim_zero_cat(self.audio), dim_zero_cat(self.audio_ids))
        all_ids = dim_zero_cat(self.caption_ids)
        text, caption_ids = _by_id(dim_zero_cat(self.text), all_ids)
        described, _ = _by_id(dim_zero_cat(self.caption_audio_ids), all_ids)
        return EmbeddingPool(audio, audio_ids, text, caption_ids, torch.searchsorted(audio_ids, described))


def _by_id(values: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of `values` (N, ...) for each distinct id, the first of repeats, and the ids in ascending order."""
    order = ids.argsort(stable=True)
    ids = ids[order]
    first = torch.ones_like(ids, dtype=torch.bool)
    first[1:] = ids[1:] != ids[:-1]
    return values[order[first]], ids[first]
