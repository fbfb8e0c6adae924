"""Rows of a split's table as examples: what loaders draw from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from datamodules.audio import read_audio
from datamodules.augmentations.base import Augmentation, Source, augmented
from datamodules.batch import Example
from datamodules.mono import Mix
from datamodules.sampling.pair_batches import Draw
from datamodules.table import SplitTable


class PairDataset(Dataset[Example]):
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
        self.table, self.sample_rate, self.max_seconds, self.seed = table, sample_rate, max_seconds, seed
        self.decode, self.mix, self.augmentations = decode, mix, augmentations

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
        caption = self.table.captions.slice(row, 1).to_pylist()[0]
        audio_row, max_seconds = caption["audio_row"], self.max_seconds
        return _example(
            self.table, audio_row, [caption], self.sample_rate, max_seconds, position, self.decode, self.mix
        )


class RecordingDataset(Dataset[Example]):
    """Evaluation: row i is recording i from its beginning, with all of its captions."""

    def __init__(
        self,
        table: SplitTable,
        sample_rate: int,
        max_seconds: float | None,
        decode: bool = True,
        mix: Mix = "mean",
    ) -> None:
        self.table, self.sample_rate, self.max_seconds, self.decode = table, sample_rate, max_seconds, decode
        self.mix = mix

    def __len__(self) -> int:
        return len(self.table.audio)

    def __getitem__(self, row: int) -> Example:
        rows = self.table.caption_rows(row)
        captions = self.table.captions.slice(rows.start, len(rows)).to_pylist()
        return _example(self.table, row, captions, self.sample_rate, self.max_seconds, 0.0, self.decode, self.mix)


def _example(
    table: SplitTable,
    audio_row: int,
    captions: list[dict[str, Any]],
    sample_rate: int,
    max_seconds: float | None,
    position: float,
    decode: bool,
    mix: Mix,
) -> Example:
    audio = table.audio.slice(audio_row, 1).to_pylist()[0]
    waveform = np.zeros(1, np.float32)
    if decode and not table.experts:
        waveform = read_audio(
            Path(audio["path"]),
            table.info(audio_row),
            sample_rate,
            max_seconds=max_seconds,
            position=position,
            offset=audio["offset"],
            gain=audio["gain"],
            begin=audio["begin"],
            mix=mix,
        )
    return Example(
        waveform=waveform,
        audio_id=audio["audio_id"],
        name=audio["name"],
        captions=[caption["caption"] for caption in captions],
        caption_ids=[caption["caption_id"] for caption in captions],
        experts={name: frames.of(audio_row) for name, frames in table.experts.items()},
    )
