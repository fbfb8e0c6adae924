"""A packed data set, streamed from a folder or from object storage."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from torch.utils.data import DataLoader, Subset

from common.errors import DataError
from common.lightning_loops import begins_at
from common.numbers import check_numbers
from datamodules.base import STAGE_SPLITS, AudioCaptionDataModule
from datamodules.batch import Batch
from datamodules.sampling.stream_order import StreamSampler, batches_of_turns, stretch_of_rank
from datamodules.shards.checks import check_shards
from datamodules.shards.format import COLUMNS, check_rate, index_table
from datamodules.shards.remote import fetch_index, is_remote, read_index_of
from datamodules.shards.stream import Crops, EvaluationStream, TrainingStream, stored_order
from datamodules.table import SplitTable
from datamodules.whole_recordings import WholeRecordings


class StreamedShards(AudioCaptionDataModule):
    """A data set packed by `audio-relevance pack`, read from where it is: nothing else of it is needed.

    Names, captions and all ids are those of the data module that was packed. An epoch is one pass over the recordings,
    each with one caption, where the other data modules make one over the pairs. See docs/large_data.md.

    Args:
        shards: folder, or URL such as s3://bucket/clotho or https://host/clotho, that `audio-relevance pack` wrote, or
            to which its files were copied.
        shuffle_buffer: recordings that each worker holds in training, to shuffle them.
        **kwargs: the options of `AudioCaptionDataModule`; the shards must have the sample rate.

    Raises:
        DataError: there is no packed data set, one of an older version, or one of another sample rate.
    """

    def __init__(self, shards: str, *, shuffle_buffer: int = 128, **kwargs: Any) -> None:
        super().__init__(
            unique_audio=True,
            related=None,
            mix="mean",
            experts=None,
            captions_per_epoch="one",
            last_batch="drop",
            validation_captions="all",
            train_fraction=1.0,
            train_captions="all",
            label_noise=0.0,
            fraction_seed=0,
            augmentations=None,
            **kwargs,
        )
        check_numbers(DataError, "data.", 1, shuffle_buffer=shuffle_buffer)
        self.shards = (shards if is_remote(shards) else str(Path(shards).expanduser())).rstrip("/")
        self.shuffle_buffer = shuffle_buffer
        self._index: tuple[pa.Table, int] | None = None

    def prepare_data(self) -> None:
        """Fetch the index (one process of each machine calls this)."""
        if self._index is None:
            self._index = index_table(fetch_index(self.shards), self.shards, list(COLUMNS))

    def index(self) -> tuple[pa.Table, int]:
        """A row for each annotated recording, in order of ids, and the shards' rate in Hz."""
        if self._index is None:
            self._index = index_table(read_index_of(self.shards), self.shards, list(COLUMNS))
        return self._index

    def read_captions(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Like `AudioCaptionDataModule.read_captions`."""
        captions = self.index()[0]["captions"].combine_chunks()
        audio_ids = pc.list_parent_indices(captions).to_numpy(zero_copy_only=False)
        return pc.list_flatten(captions).to_pylist(), audio_ids.astype(np.int64)

    def read_names(self) -> list[str]:
        """Like `AudioCaptionDataModule.read_names`."""
        names: list[str] = self.index()[0]["name"].to_pylist()
        return names

    def caption_ids(self, split: str) -> npt.NDArray[np.int64]:
        """Like `AudioCaptionDataModule.caption_ids`."""
        index, _ = self.index()
        described = np.asarray(index["split"].to_pylist())[self.read_captions()[1]]
        return np.flatnonzero(described == split)

    def has_split(self, split: str) -> bool:
        """Like `AudioCaptionDataModule.has_split`."""
        return bool(pc.any(pc.equal(self.index()[0]["split"], split)).as_py())

    def read_split(self, split: str) -> SplitTable:
        """Like `AudioCaptionDataModule.read_split`."""
        index, packed_rate = self.index()
        check_rate(self.shards, packed_rate, self.sample_rate)
        # Caption ids are running numbers over all of the index.
        counts = pc.list_value_length(index["captions"]).to_numpy()
        index = index.append_column("first_caption", pa.array(np.cumsum(counts) - counts))
        rows = index.filter(pc.equal(index["split"], split))
        failed = pc.is_valid(rows["error"])
        audio = rows.filter(pc.invert(failed))
        if len(audio) == 0:
            raise DataError(f"{self.shards}: holds no {split} recordings; pack a data set that has some")
        captions = audio["captions"].combine_chunks()
        counts = pc.list_value_length(captions).to_numpy(zero_copy_only=False)
        of_recording = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        described = pa.table(
            {
                "caption_id": np.repeat(audio["first_caption"].to_numpy(), counts) + of_recording,
                "audio_row": np.repeat(np.arange(len(audio)), counts),
                "caption": pc.list_flatten(captions),
            }
        )
        paths = pa.array([f"{self.shards}/{shard}" for shard in audio["shard"].to_pylist()], pa.string())
        audio = audio.append_column("path", paths).append_column(
            "sample_rate", pa.array(np.full(len(audio), packed_rate, np.int32))
        )
        audio = audio.append_column("begin", pa.array(np.zeros(len(audio), np.int64)))
        columns = ["audio_id", "split", "name", "path", "frames", "sample_rate", "offset", "gain", "begin", "key"]
        audio = audio.select(columns)
        return SplitTable(audio, described, tuple(rows.filter(failed)["name"].to_pylist()))

    def whole_recordings(self) -> WholeRecordings:
        """Like `AudioCaptionDataModule.whole_recordings`, of shards in a folder.

        Raises:
            DataError: they are elsewhere, a shard is not what the index says (`check_shards`), or some recordings are
                longer than `max_seconds`.
        """
        self._check_folder("a frozen audio encoder")
        return super().whole_recordings()

    def beginnings(self, sample_rate: int, max_seconds: float | None) -> WholeRecordings:
        """Like `AudioCaptionDataModule.beginnings`, of shards in a folder.

        Raises:
            DataError: they are elsewhere, or a shard is not what the index says (`check_shards`).
        """
        self._check_folder("teachers")
        return super().beginnings(sample_rate, max_seconds)

    def _check_folder(self, whose: str) -> None:
        if is_remote(self.shards):
            raise DataError(
                f"{self.shards}: the embeddings of {whose} are kept only for recordings in a folder; copy the shards "
                "into one, and give it as --data.shards"
            )
        check_shards(Path(self.shards), self.index()[0])

    def setup(self, stage: str) -> None:
        """Like `AudioCaptionDataModule.setup`."""
        for split in STAGE_SPLITS[stage]:
            if split not in self.tables:
                self.tables[split] = self.read_split(split)
        if stage == "fit":
            self._training_batches()

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of `batch_size` recordings with a caption each; a resumed training continues with the next batch."""
        batches, parts = self._training_batches(), max(self.num_workers, 1)
        stream = TrainingStream(
            self.tables["train"],
            Crops(self.sample_rate, self.max_seconds, self.decode_audio, self.seed),
            batches * self.batch_size,
            self.batch_size,
            parts,
            self._ranks()[0],
            self.shuffle_buffer,
        )
        sampler = StreamSampler(batches, self.batch_size, parts)
        sampler.resume(*begins_at(self.trainer))
        return self._loader(stream, batch_sampler=sampler)

    def state_dict(self) -> dict[str, Any]:
        """What goes into a checkpoint: the options that batches depend on and that a resumed run might change."""
        return {"num_workers": self.num_workers}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Check them against the options of this run.

        Raises:
            DataError: a resumed training has another number of workers than before.
        """
        former, now = state_dict["num_workers"], self.num_workers
        if self.trainer is not None and self.trainer.state.fn == "fit" and max(former, 1) != max(now, 1):
            raise DataError(
                f"data.num_workers is {now}, but was {former} before: batches of streamed shards depend on it; "
                f"give {former}"
            )

    def _training_batches(self) -> int:
        """How many batches each rank takes an epoch."""
        size = self.batch_size * self._ranks()[1]
        count = len(self.tables["train"].audio)
        if size < 2:
            raise DataError("data.batch_size is 1 on one device: a single pair leaves nothing to rank; raise it")
        if count < size:
            raise DataError(f"{count} training recordings do not fill one batch of {size}; lower data.batch_size")
        return count // size

    def _evaluation_loader(self, split: str, left_out: frozenset[str] = frozenset()) -> DataLoader[Batch]:
        table, parts = self.tables[split], max(self.num_workers, 1)
        names = table.audio["name"].to_pylist()
        wanted = np.array([row for row in stored_order(table) if names[row] not in left_out], dtype=np.int64)
        rows = wanted[stretch_of_rank(len(wanted), *self._ranks())]
        crops = Crops(self.sample_rate, self.max_seconds, self.decode_audio)
        stream = EvaluationStream(table, crops, rows, self.batch_size, parts)
        turns = [turn for batch in batches_of_turns(len(rows), self.batch_size, parts) for turn in batch]
        return self._loader(Subset(stream, turns), batch_size=self.batch_size)  # type: ignore[arg-type]
