"""Several data sets as one, for pretraining."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from common.errors import DataError
from datamodules.annotated import AnnotatedDataModule
from datamodules.base import AudioCaptionDataModule
from datamodules.experts.in_tables import joined
from datamodules.table import SplitTable


class Mixture(AudioCaptionDataModule):
    """Trains on the training splits of several data sets together, and evaluates on one of them.

    Ids of a part begin where those of the part before it end. In training, names are `<number>.<data set>/<name>`; in
    evaluation recordings keep their names, so that results can be compared with those of the part alone. The settings
    of batches, crops and workers given here replace those of the parts. What is trained on (`train_fraction`,
    `train_captions`, `label_noise`) can be set for each part, and here for all together.

    Args:
        parts: the data sets.
        judge: the number, from 0, of the part whose validation and test splits are used for evaluation.
        **kwargs: the options of `AudioCaptionDataModule`.

    Raises:
        DataError: no parts, or `judge` is none of them.
    """

    def __init__(self, parts: list[AnnotatedDataModule], judge: int = 0, **kwargs: Any) -> None:
        super().__init__(experts=None, **kwargs)  # each part has its own
        if not parts:
            raise DataError("data.parts is empty; give at least one data set")
        if not 0 <= judge < len(parts):
            raise DataError(f"data.judge is {judge}, but there are {len(parts)} parts; give 0 to {len(parts) - 1}")
        self.parts = parts
        self.judge = judge
        self.experts = parts[judge].experts

    @property
    def label(self) -> str:
        """The parts, that which evaluates last."""
        others = [part.label for number, part in enumerate(self.parts) if number != self.judge]
        return " + ".join([*others, self.parts[self.judge].label])

    def prepare_data(self) -> None:
        """Prepare each part."""
        for part in self.parts:
            part.prepare_data()

    def has_split(self, split: str) -> bool:
        """Like `AudioCaptionDataModule.has_split`, of the part that evaluates."""
        return self.parts[self.judge].has_split(split)

    def read_captions(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Like `AudioCaptionDataModule.read_captions`."""
        captions: list[str] = []
        audio_ids: list[npt.NDArray[np.int64]] = []
        first_audio = 0
        for part in self.parts:
            texts, ids = part.read_captions()
            captions += texts
            audio_ids.append(ids + first_audio)
            first_audio += part.annotated_count()
        return captions, np.concatenate(audio_ids)

    def read_names(self) -> list[str]:
        """Like `AudioCaptionDataModule.read_names`, each with its part's label."""
        return [_label(number, part) + name for number, part in enumerate(self.parts) for name in part.read_names()]

    def caption_ids(self, split: str) -> npt.NDArray[np.int64]:
        """Like `AudioCaptionDataModule.caption_ids`."""
        ids: list[npt.NDArray[np.int64]] = []
        first_caption = 0
        for number, part in enumerate(self.parts):
            if split == "train" or number == self.judge:
                ids.append(part.caption_ids(split) + first_caption)
            first_caption += len(part.read_captions()[0])
        return np.concatenate(ids)

    def read_split(self, split: str) -> SplitTable:
        """Like `AudioCaptionDataModule.read_split`."""
        tables = []
        first_audio = first_caption = first_row = 0
        for number, part in enumerate(self.parts):
            if split == "train" or number == self.judge:
                label = _label(number, part) if split == "train" else ""
                table = part.read_split(split)
                if split == "train":
                    table = part.trained_on(table)
                tables.append(_shifted(table, label, first_audio, first_caption, first_row))
                first_row += len(tables[-1].audio)
            first_audio += part.annotated_count()
            first_caption += len(part.read_captions()[0])
        return SplitTable(
            pa.concat_tables([table.audio for table in tables]).combine_chunks(),
            pa.concat_tables([table.captions for table in tables]).combine_chunks(),
            tuple(name for table in tables for name in table.missing),
            joined([table.experts for table in tables]),
            sum(table.not_drawn for table in tables),
        )

    def graded_relevance(self, split: str) -> npt.NDArray[np.float32] | None:
        """That of the part that evaluates."""
        return self.parts[self.judge].graded_relevance(split)


def _label(number: int, part: AnnotatedDataModule) -> str:
    return f"{number}.{type(part).__name__}/"


def _shifted(table: SplitTable, label: str, first_audio: int, first_caption: int, first_row: int) -> SplitTable:
    audio, captions = table.audio, table.captions

    def shift(column: pa.ChunkedArray, by: int) -> pa.Array:
        return pa.array(column.to_numpy() + by, pa.int64())

    def named(names: Sequence[str]) -> list[str]:
        return [label + name for name in names]

    audio = audio.set_column(0, "audio_id", shift(audio["audio_id"], first_audio))
    audio = audio.set_column(1, "name", pa.array(named(audio["name"].to_pylist()), pa.string()))
    captions = captions.set_column(0, "caption_id", shift(captions["caption_id"], first_caption))
    captions = captions.set_column(1, "audio_row", shift(captions["audio_row"], first_row))
    return SplitTable(audio, captions, tuple(named(table.missing)), table.experts, table.not_drawn)
