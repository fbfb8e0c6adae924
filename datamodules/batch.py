"""The batch: the one type through which data meet models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass
class Batch:
    """A recordings and the C captions that describe them; each recording occurs once, however many captions it has.

    In training C = A and caption i describes recording i; in evaluation a recording brings all of its captions.

    Attributes:
        waveforms: (A, T) float32 mono in [-1, 1], zero-padded to the longest.
        lengths: (A,) int64, samples before the padding.
        audio_ids: (A,) int64, unique in the data module.
        names: A file names, for tables and messages.
        captions: C sentences.
        caption_ids: (C,) int64, the index of each caption among all captions of the data module.
        caption_audio: (C,) int64, the row of `waveforms` that each caption describes.
    """

    waveforms: Tensor
    lengths: Tensor
    audio_ids: Tensor
    names: list[str]
    captions: list[str]
    caption_ids: Tensor
    caption_audio: Tensor

    def pin_memory(self) -> "Batch":
        """Page-locked copies of the tensors, for quick transfer to a GPU (called by the DataLoader)."""
        for field in ("waveforms", "lengths", "audio_ids", "caption_ids", "caption_audio"):
            setattr(self, field, getattr(self, field).pin_memory())
        return self


@dataclass
class Example:
    """One recording with some of its captions: what a data set returns and `collate` joins.

    Attributes:
        waveform: (T,) float32 mono.
        audio_id, name: of the recording.
        captions, caption_ids: those that go into the batch.
    """

    waveform: npt.NDArray[np.float32]
    audio_id: int
    name: str
    captions: list[str]
    caption_ids: list[int]


def collate(examples: Sequence[Example]) -> Batch:
    """Join examples: waveforms are zero-padded to the longest, their lengths kept."""
    lengths = torch.tensor([len(example.waveform) for example in examples])  # (A,)
    waveforms = torch.zeros(len(examples), int(lengths.max()))  # (A, T)
    for row, example in zip(waveforms, examples, strict=True):
        row[: len(example.waveform)] = torch.from_numpy(example.waveform)
    counts = torch.tensor([len(example.captions) for example in examples])
    return Batch(
        waveforms=waveforms,
        lengths=lengths,
        audio_ids=torch.tensor([example.audio_id for example in examples]),
        names=[example.name for example in examples],
        captions=[caption for example in examples for caption in example.captions],
        caption_ids=torch.tensor([i for example in examples for i in example.caption_ids], dtype=torch.int64),
        caption_audio=torch.repeat_interleave(torch.arange(len(examples)), counts),
    )
