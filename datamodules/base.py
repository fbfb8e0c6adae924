"""What all data modules share: from a split's table to batches."""

import functools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import lightning as L
import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader, Dataset, Subset

from datamodules.audio import read_audio
from datamodules.batch import Batch, Example, collate
from datamodules.errors import DataError
from datamodules.sampling import Draw, PairBatchSampler, rank_share
from datamodules.table import SplitTable

STAGE_SPLITS = {
    "fit": ("train", "validation"),
    "validate": ("validation",),
    "test": ("test",),
    "predict": ("test",),
}


class PairDataset(Dataset[Example]):
    """Training: row i is caption i with a random crop of its recording, drawn from (seed, epoch, caption id)."""

    def __init__(self, table: SplitTable, sample_rate: int, max_seconds: float | None, seed: int) -> None:
        self.table, self.sample_rate, self.max_seconds, self.seed = table, sample_rate, max_seconds, seed

    def __len__(self) -> int:
        return len(self.table.captions)

    def __getitem__(self, draw: Draw) -> Example:
        caption = self.table.captions.slice(draw.row, 1).to_pylist()[0]
        position = np.random.default_rng((self.seed, draw.epoch, caption["caption_id"])).random()
        return _example(self.table, caption["audio_row"], [caption], self.sample_rate, self.max_seconds, position)


class RecordingDataset(Dataset[Example]):
    """Evaluation: row i is recording i from its beginning, with all of its captions."""

    def __init__(self, table: SplitTable, sample_rate: int, max_seconds: float | None) -> None:
        self.table, self.sample_rate, self.max_seconds = table, sample_rate, max_seconds

    def __len__(self) -> int:
        return len(self.table.audio)

    def __getitem__(self, row: int) -> Example:
        rows = self.table.caption_rows(row)
        captions = self.table.captions.slice(rows.start, len(rows)).to_pylist()
        return _example(self.table, row, captions, self.sample_rate, self.max_seconds, 0.0)


def _example(
    table: SplitTable,
    audio_row: int,
    captions: list[dict[str, Any]],
    sample_rate: int,
    max_seconds: float | None,
    position: float,
) -> Example:
    audio = table.audio.slice(audio_row, 1).to_pylist()[0]
    waveform = read_audio(
        Path(audio["path"]),
        table.info(audio_row),
        sample_rate,
        max_seconds=max_seconds,
        position=position,
        offset=audio["offset"],
    )
    return Example(
        waveform=waveform,
        audio_id=audio["audio_id"],
        name=audio["name"],
        captions=[caption["caption"] for caption in captions],
        caption_ids=[caption["caption_id"] for caption in captions],
    )


class AudioCaptionDataModule(L.LightningDataModule):
    """Batches of (audio, caption) pairs for training, of recordings with all their captions for evaluation.

    A subclass reads annotation files: it implements `read_captions` and `read_split`. The splits are called train,
    validation and test here, whatever a data set calls them.

    Args:
        batch_size: pairs a training step, on each device; also recordings an evaluation step.
        max_seconds: longer recordings are cropped, at random in training, from the beginning in evaluation.
        sample_rate: in Hz; default: what the model's audio encoder wants.
        unique_audio: whether a training batch holds a recording at most once, over all devices.
        num_workers: processes that decode audio for each loader; 0 decodes in the main process.
        seed: of order and crops; default: the run's seed.
    """

    def __init__(
        self,
        batch_size: int,
        max_seconds: float | None,
        sample_rate: int | None,
        unique_audio: bool,
        num_workers: int,
        seed: int | None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise DataError(f"data.batch_size must be at least 1, got {batch_size}")
        if max_seconds is not None and not (math.isfinite(max_seconds) and max_seconds > 0):
            raise DataError(f"data.max_seconds must be positive or null, got {max_seconds}")
        if sample_rate is not None and sample_rate < 1:
            raise DataError(f"data.sample_rate must be at least 1 Hz, got {sample_rate}")
        if num_workers < 0:
            raise DataError(f"data.num_workers must be at least 0, got {num_workers}")
        if seed is not None and seed < 0:
            raise DataError(f"data.seed must be at least 0, got {seed}")
        self.batch_size = batch_size
        self.max_seconds = max_seconds
        self.unique_audio = unique_audio
        self.num_workers = num_workers
        self._sample_rate = sample_rate
        self._seed = seed
        self.tables: dict[str, SplitTable] = {}
        self._left_out: frozenset[str] = frozenset()

    def read_captions(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """All captions of the data set, index = caption id, and the audio id (C,) of each; no audio is needed."""
        raise NotImplementedError

    def read_split(self, split: str) -> SplitTable:
        """The table of "train", "validation" or "test"."""
        raise NotImplementedError

    def graded_relevance(self, split: str) -> npt.NDArray[np.float32] | None:
        """Known relevance (A, A) in [0, 1] between the recordings of a split, by row of its table; None: not known."""
        return None

    def has_split(self, split: str) -> bool:
        """Whether there is such a split at all."""
        return True

    def setup(self, stage: str) -> None:
        """Read the tables that a stage needs ("fit", "validate", "test", "predict")."""
        for split in STAGE_SPLITS[stage]:
            if split not in self.tables:
                self.tables[split] = self.read_split(split)
        if stage == "fit":
            len(self._pair_sampler())  # refuses a batch size that the split cannot fill, before anything is written

    @functools.cached_property
    def sample_rate(self) -> int:
        """Sample rate of the waveforms in Hz."""
        rate = getattr(getattr(self.trainer, "lightning_module", None), "sample_rate", None)
        if rate is not None and self._sample_rate not in (None, rate):
            raise DataError(
                f"data.sample_rate is {self._sample_rate} Hz, but the audio encoder wants {rate} Hz; leave it out"
            )
        if self._sample_rate is not None:
            return self._sample_rate
        if rate is None:
            raise DataError("data.sample_rate is not set and there is no model to ask for it; set data.sample_rate")
        return int(rate)

    @property
    def seed(self) -> int:
        """Seed of order and crops."""
        return 0 if self._seed is None else self._seed

    def use_seed(self, seed: int) -> None:
        """Take the run's seed, unless this data module was given its own."""
        if self._seed is None:
            self._seed = seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of `batch_size` pairs; an epoch is every pair once, but for an incomplete last batch.

        A resumed training goes on with the batch after the last one it has taken.
        """
        dataset = PairDataset(self.tables["train"], self.sample_rate, self.max_seconds, self.seed)
        sampler = self._pair_sampler()
        sampler.go_on(*batches_done(self.trainer))
        return self._loader(dataset, batch_sampler=sampler)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Recordings of the validation split, each with all its captions."""
        return self._evaluation_loader("validation")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Recordings of the test split, each with all its captions."""
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Like `test_dataloader`, without the recordings that were left out."""
        return self._evaluation_loader("test", self._left_out)

    def predict_files(self) -> dict[str, Path]:
        """The recordings that `predict` is about, after `setup`: the file of each by its name, in order."""
        audio = self.tables["test"].audio
        return dict(zip(audio["name"].to_pylist(), map(Path, audio["path"].to_pylist()), strict=True))

    def leave_out(self, names: Iterable[str]) -> None:
        """Leave out recordings in `predict`, by name: they are embedded already."""
        self._left_out = frozenset(names)

    def _pair_sampler(self) -> PairBatchSampler:
        rank, world_size = self._ranks()
        if self.batch_size * world_size < 2:
            raise DataError("data.batch_size is 1 on one device: a single pair leaves nothing to rank; raise it")
        return PairBatchSampler(
            self.tables["train"].captions["audio_row"].to_numpy(),
            self.batch_size,
            self.seed,
            unique_audio=self.unique_audio,
            rank=rank,
            world_size=world_size,
        )

    def _evaluation_loader(self, split: str, left_out: frozenset[str] = frozenset()) -> DataLoader[Batch]:
        dataset = RecordingDataset(self.tables[split], self.sample_rate, self.max_seconds)
        return self._recording_loader(dataset, left_out)

    def _recording_loader(
        self, dataset: RecordingDataset, left_out: frozenset[str] = frozenset(), **options: Any
    ) -> DataLoader[Batch]:
        names = dataset.table.audio["name"].to_pylist()
        wanted = np.array([row for row, name in enumerate(names) if name not in left_out], dtype=np.int64)
        rows = wanted[rank_share(len(wanted), *self._ranks())].tolist()
        # PyTorch's own batch sampler, because Lightning wraps it in `predict`; hence the rank's share is a subset.
        return self._loader(Subset(dataset, rows), batch_size=self.batch_size, **options)

    def _loader(self, dataset: Dataset[Example], collate_fn: Any = collate, **batching: Any) -> DataLoader[Batch]:
        return DataLoader(
            cast(Dataset[Batch], dataset),  # `collate_fn` makes batches of its examples
            **batching,
            num_workers=self.num_workers,
            collate_fn=collate_fn,
            pin_memory=self.trainer is not None and _on_gpu(self.trainer),
            persistent_workers=self.num_workers > 0,
        )

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)


def batches_done(trainer: L.Trainer | None) -> tuple[int, int]:
    """The epoch that a training begins or goes on with, and how many of its batches are done: Lightning's counters."""
    if trainer is None:
        return 0, 0
    epoch: Any = trainer.fit_loop.epoch_progress.current
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    return epoch.processed, batches.processed if epoch.ready > epoch.processed else 0


def _on_gpu(trainer: L.Trainer) -> bool:
    return trainer.strategy.root_device.type == "cuda"
