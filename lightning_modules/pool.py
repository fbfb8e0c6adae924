"""The pool: every recording and caption of a split, embedded once, gathered over devices."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class Pool:
    """Embeddings of a whole split, in order of ids, without repeats.

    Attributes:
        audio: (A, D) float32; audio_ids: (A,) int64.
        text: (C, D) float32; caption_ids: (C,) int64; caption_audio: (C,) int64, the row of `audio` described.
    """

    # Neither a tuple nor a dataclass: of those torchmetrics would turn each (1,) tensor into a scalar.
    def __init__(
        self, audio: Tensor, audio_ids: Tensor, text: Tensor, caption_ids: Tensor, caption_audio: Tensor
    ) -> None:
        self.audio = audio
        self.audio_ids = audio_ids
        self.text = text
        self.caption_ids = caption_ids
        self.caption_audio = caption_audio


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

    def compute(self) -> Pool:
        """The pool in order of ids."""
        audio, audio_ids = _by_id(dim_zero_cat(self.audio), dim_zero_cat(self.audio_ids))
        all_ids = dim_zero_cat(self.caption_ids)
        text, caption_ids = _by_id(dim_zero_cat(self.text), all_ids)
        described, _ = _by_id(dim_zero_cat(self.caption_audio_ids), all_ids)
        return Pool(audio, audio_ids, text, caption_ids, torch.searchsorted(audio_ids, described))


def _by_id(values: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of `values` (N, ...) for each distinct id, the first of repeats, and the ids in ascending order."""
    order = ids.argsort(stable=True)
    ids = ids[order]
    first = torch.ones_like(ids, dtype=torch.bool)
    first[1:] = ids[1:] != ids[:-1]
    return values[order[first]], ids[first]


def batches_of_captions(pool: Pool, size: int) -> Iterator[Tensor]:
    """Rows of the pool's captions, at most `size` at a time: all recordings' first captions, then all second ones, ...

    So a batch pairs each of its recordings with one caption, as in training.
    """
    slots = caption_slots(pool.caption_audio.cpu().numpy())
    for slot in range(int(slots.max()) + 1):
        rows = torch.from_numpy(np.flatnonzero(slots == slot)).to(pool.audio.device)
        yield from rows.split(size)


def caption_slots(caption_audio: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many captions of the same recording stand before each caption: (C,) of (C,) rows in any order.

    >>> caption_slots(np.array([0, 0, 1, 0, 1]))
    array([0, 1, 0, 2, 1])
    """
    order = np.argsort(caption_audio, kind="stable")
    ordered = caption_audio[order]
    starts = np.searchsorted(ordered, ordered)
    slots = np.empty_like(order)
    slots[order] = np.arange(len(order)) - starts
    return slots
