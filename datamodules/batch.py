"""The batch: the one type through which data meet models."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class Frames(NamedTuple):
    """Features that an expert (a pretrained model) gave of each recording, instead of its waveform.

    Attributes:
        values: (A, T, D) float32, zero beyond a recording's length.
        lengths: (A,) int64, 0 where the expert has nothing of a recording.
    """

    values: Tensor
    lengths: Tensor


class MixedPairs(NamedTuple):
    """Of which annotated pairs mixes are made: recordings added up, their captions joined.

    Attributes:
        ids: (C, 2) int64 caption ids; of a pair that is not mixed twice its own.
        weights: (C, 2) float32, the share of each part; (1, 0) where nothing is mixed.
        rule: how the relevance of a mix follows from that of its parts, "max" or "weighted".
    """

    ids: Tensor
    weights: Tensor
    rule: Literal["max", "weighted"]


class MixedPair(NamedTuple):
    """The same of one example: its own caption's id and that of the other pair, and the share of its own part."""

    ids: tuple[int, int]
    weight: float
    rule: Literal["max", "weighted"]


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
        experts: by name of the expert, frames of the A recordings.
        mixes: of what the pairs are mixed, where the data module mixes some.
    """

    waveforms: Tensor
    lengths: Tensor
    audio_ids: Tensor
    names: list[str]
    captions: list[str]
    caption_ids: Tensor
    caption_audio: Tensor
    experts: dict[str, Frames] = field(default_factory=dict)
    mixes: MixedPairs | None = None

    def pin_memory(self) -> "Batch":
        """Page-locked copies of the tensors, for quick transfer to a GPU (called by the DataLoader)."""
        for name in ("waveforms", "lengths", "audio_ids", "caption_ids", "caption_audio"):
            setattr(self, name, getattr(self, name).pin_memory())
        self.experts = {name: Frames(*(part.pin_memory() for part in frames)) for name, frames in self.experts.items()}
        if self.mixes is not None:
            self.mixes = self.mixes._replace(ids=self.mixes.ids.pin_memory(), weights=self.mixes.weights.pin_memory())
        return self


@dataclass
class Example:
    """One recording with some of its captions: what a data set returns and `collate` joins.

    Attributes:
        waveform: (T,) float32 mono.
        audio_id, name: of the recording.
        captions, caption_ids: those that go into the batch.
        experts: by name of the expert, its frames (T, D) float32 of the recording; T is 0 where it has none.
        mix: of what it is mixed, with a single caption; None where the data module does not mix.
    """

    waveform: npt.NDArray[np.float32]
    audio_id: int
    name: str
    captions: list[str]
    caption_ids: list[int]
    experts: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    mix: MixedPair | None = None


def collate(examples: Sequence[Example]) -> Batch:
    """Join examples: waveforms are zero-padded to the longest, their lengths kept."""
    waveforms, lengths = padded([example.waveform for example in examples])
    counts = torch.tensor([len(example.captions) for example in examples])
    return Batch(
        waveforms=waveforms,
        lengths=lengths,
        audio_ids=torch.tensor([example.audio_id for example in examples]),
        names=[example.name for example in examples],
        captions=[caption for example in examples for caption in example.captions],
        caption_ids=torch.tensor([i for example in examples for i in example.caption_ids], dtype=torch.int64),
        caption_audio=torch.repeat_interleave(torch.arange(len(examples)), counts),
        experts={
            name: Frames(*padded([example.experts[name] for example in examples])) for name in examples[0].experts
        },
        mixes=_mixes([example.mix for example in examples if example.mix is not None]),
    )


def _mixes(mixes: Sequence[MixedPair]) -> MixedPairs | None:
    if not mixes:
        return None
    weights = [(mix.weight, 1 - mix.weight) for mix in mixes]
    return MixedPairs(torch.tensor([mix.ids for mix in mixes]), torch.tensor(weights), mixes[0].rule)


def padded(rows: Sequence[npt.NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Waveforms (T,) or frames (T, D) in one tensor (A, T, ...), with zeros to the longest, and their lengths (A,)."""
    lengths = torch.tensor([len(row) for row in rows])  # (A,)
    values = torch.zeros(len(rows), int(lengths.max()), *rows[0].shape[1:])  # (A, T, ...)
    for whole, row in zip(values, rows, strict=True):
        whole[: len(row)] = torch.from_numpy(row)
    return values, lengths
