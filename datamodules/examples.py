"""Rows of a split's table as examples: what loaders draw from."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from datamodules.audio import read_audio
from datamodules.augmentations.base import Augmentation, Source, augmented
from datamodules.batch import Example
from datamodules.mono import Mix
from datamodules.sampling.pair_batches import Draw
from datamodules.table import SplitTable


class _TableDataset(Dataset[Example]):
    """Recordings of a table, at a rate in Hz, cropped to `max_seconds`; without `decode` samples of silence."""

    def __init__(
        self,
        table: SplitTable,
        sample_rate: int,
        max_seconds: float | None,
        decode: bool = True,
        mix: Mix = "mean",
    ) -> None:
        self.table, self.sample_rate, self.max_seconds = table, sample_rate, max_seconds
        self.decode, self.mix = decode, mix

    def example(self, audio_row: int, captions: range, position: float) -> Example:
        """A recording, cropped at a position from 0 to 1, with rows of its captions."""
        audio = self.table.audio.slice(audio_row, 1).to_pylist()[0]
        described = self.table.captions.slice(captions.start, len(captions)).to_pylist()
        waveform = np.zeros(1, np.float32)
        if self.decode and not self.table.experts:
            waveform = read_audio(
                Path(audio["path"]),
                self.table.info(audio_row),
                self.sample_rate,
                max_seconds=self.max_seconds,
                position=position,
                offset=audio["offset"],
                gain=audio["gain"],
                begin=audio["begin"],
                mix=self.mix,
            )
        return Example(
            waveform=waveform,
            audio_id=audio["audio_id"],
            name=audio["name"],
            captions=[caption["caption"] for caption in described],
            caption_ids=[caption["caption_id"] for caption in described],
            experts={name: frames.of(audio_row) for name, frames in self.table.experts.items()},
        )


class PairDataset(_TableDataset):
    """Training: row i is caption i with a random crop of its recording, drawn from (seed, epoch, caption id), as are
    the numbers of the augmentations.
    """

    def __init__(
        self,
        table: SplitTable,
        sample_rate: int,
        max_seconds: float | None,
        seed: int,
        decode: bool = True,
        mix: Mix = "mean",
        augmentations: Sequence[Augmentation] = (),
    ) -> None:
        super().__init__(table, sample_rate, max_seconds, decode, mix)
        self.seed, self.augmentations = seed, augmentations

    def __len__(self) -> int:
        return len(self.table.captions)

    def __getitem__(self, draw: Draw) -> Example:
        caption_id = self.table.captions["caption_id"][draw.row].as_py()
        position = np.random.default_rng((self.seed, draw.epoch, caption_id)).random()
        example = self._pair(draw.row, position)
        if not self.augmentations:
            return example
        source = Source(self.sample_rate, self._other)
        return augmented(example, self.augmentations, self.seed, draw.epoch, source)

    def _other(self, rng: np.random.Generator) -> Example:
        return self._pair(int(rng.integers(len(self))), rng.random())

    def _pair(self, row: int, position: float) -> Example:
        return self.example(self.table.captions["audio_row"][row].as_py(), range(row, row + 1), position)


class RecordingDataset(_TableDataset):
    """Evaluation: row i is recording i from its beginning, with all of its captions."""

    def __len__(self) -> int:
        return len(self.table.audio)

    def __getitem__(self, row: int) -> Example:
        return self.example(row, self.table.caption_rows(row), 0.0)
