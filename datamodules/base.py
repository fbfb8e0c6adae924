"""What all data modules share: from a split's table to batches."""

import functools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, cast

import lightning as L
import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader, Dataset, Subset

from common.errors import DataError
from common.lightning_loops import begins_at
from common.numbers import check_numbers
from datamodules.audio import HIGHEST_RATE
from datamodules.augmentations.base import Augmentation, Side
from datamodules.batch import Batch, Example, collate
from datamodules.examples import PairDataset, RecordingDataset
from datamodules.experts.in_tables import open_stores
from datamodules.experts.store import ExpertStore
from datamodules.mono import Mix
from datamodules.sampling.neighbours_file import read_neighbours
from datamodules.sampling.pair_batches import PairBatchSampler, Regroup, rank_share
from datamodules.sampling.related_pairs import Related, TextNeighbours, related_order
from datamodules.table import SplitTable
from datamodules.whole_recordings import WholeRecordings

STAGE_SPLITS = {
    "fit": ("train", "validation"),
    "validate": ("validation",),
    "test": ("test",),
    "predict": ("test",),
}


class AudioCaptionDataModule(L.LightningDataModule):
    """Batches of (audio, caption) pairs for training, of recordings with all their captions for evaluation.

    A subclass reads annotation files: it implements `read_captions` and `read_split`. The splits are called train,
    validation and test here, whatever a data set calls them. A subclass declares its own options, and of these only
    those whose default it changes; all others reach it by `**kwargs`, which jsonargparse follows.

    Args:
        batch_size: pairs a training step, on each device; also recordings an evaluation step.
        max_seconds: longer recordings are cropped, at random in training, from the beginning in evaluation.
        mix: what is taken of several channels: their "mean", the "loudest" one, or the "left" one, the first. Channels
            in opposite phase cancel out in the mean; of those the loudest is taken, with a warning.
        sample_rate: in Hz; default: what the model's audio encoder wants.
        unique_audio: whether a training batch holds a recording at most once, over all devices.
        num_workers: processes that decode audio for each loader; 0 decodes in the main process.
        seed: of order and crops; default: the run's seed.
        related: put pairs whose captions are similar into one training batch, see docs/neighbours.md; default: all
            pairs are drawn at random.
        experts: by name of the expert, the folder of its features of this data set (a store that `audio-relevance
            extract` or `import-features` wrote): batches carry them, and audio is neither looked for nor decoded.
        captions_per_epoch: "all" shows every caption once an epoch, "one" every recording once, with one of its
            captions, drawn from (seed, epoch, recording).
        last_batch: "drop" an incomplete last batch of an epoch, or "keep" it (of several devices each then takes
            equally many pairs).
        validation_captions: "all", or the "first" of each recording alone.
        train_fraction: share of the training recordings to train on, each with all its captions; those of a smaller
            share are among those of a larger one.
        train_captions: "all", or the "first" of each training recording alone.
        label_noise: share of the training recordings that get the captions of another one; for studies.
        fraction_seed: which recordings `train_fraction` and `label_noise` take; the same for all runs, whatever their
            seed.
        augmentations: of the training pairs, one after another; see docs/augmentation.md.

    Attributes:
        decode_audio: whether loaders made from now on read audio; else, and with `experts`, a recording is one sample
            of silence.
    """

    def __init__(
        self,
        *,
        batch_size: int = 32,
        max_seconds: float | None = 30.0,
        mix: Mix = "mean",
        sample_rate: int | None = None,
        unique_audio: bool = True,
        num_workers: int = 4,
        seed: int | None = None,
        related: Related | None = None,
        experts: dict[str, str] | None = None,
        captions_per_epoch: Literal["all", "one"] = "all",
        last_batch: Literal["drop", "keep"] = "drop",
        validation_captions: Literal["all", "first"] = "all",
        train_fraction: float = 1.0,
        train_captions: Literal["all", "first"] = "all",
        label_noise: float = 0.0,
        fraction_seed: int = 0,
        augmentations: list[Augmentation] | None = None,
    ) -> None:
        super().__init__()
        check_numbers(DataError, "data.", 1, batch_size=batch_size)
        check_numbers(DataError, "data.", 0, num_workers=num_workers, seed=seed, fraction_seed=fraction_seed)
        check_numbers(DataError, "data.", 0, 1, label_noise=label_noise)
        check_numbers(DataError, "data.related.", 1, group=related.group if related else None)
        if max_seconds is not None and not (math.isfinite(max_seconds) and max_seconds > 0):
            raise DataError(f"data.max_seconds is {max_seconds}; give a number above 0, or null")
        if sample_rate is not None and not 1 <= sample_rate <= HIGHEST_RATE:
            raise DataError(f"data.sample_rate is {sample_rate} Hz; give a number from 1 to {HIGHEST_RATE}")
        if not 0 < train_fraction <= 1:
            raise DataError(f"data.train_fraction is {train_fraction}; give a share above 0, 1 for all recordings")
        self.batch_size = batch_size
        self.max_seconds = max_seconds
        self.mix = mix
        self.unique_audio = unique_audio
        self.num_workers = num_workers
        self.related = related
        self.experts = experts or {}
        self.captions_per_epoch, self.last_batch = captions_per_epoch, last_batch
        self.validation_captions = validation_captions
        self.train_fraction, self.fraction_seed = train_fraction, fraction_seed
        self.train_captions, self.label_noise = train_captions, label_noise
        self.augmentations = augmentations or []
        if self.experts and "audio" in self.augmented:
            raise DataError(
                "data.augmentations change waveforms, but data.experts gives features in their place; leave one of "
                "them out"
            )
        self.decode_audio = True
        self._sample_rate = sample_rate
        self._seed = seed
        self.tables: dict[str, SplitTable] = {}
        self._left_out: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """What reports call the data set, with its version where it has several."""
        return type(self).__name__

    def read_captions(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """All captions of the data set, index = caption id, and the audio id (C,) of each; no audio is needed."""
        raise NotImplementedError

    def read_split(self, split: str) -> SplitTable:
        """The table of "train", "validation" or "test"."""
        raise NotImplementedError

    def read_names(self) -> list[str]:
        """Names of all recordings, index = audio id; no audio is needed."""
        raise NotImplementedError

    def caption_ids(self, split: str) -> npt.NDArray[np.int64]:
        """Ids of all captions of "train", "validation" or "test", whether their audio is there or not."""
        raise NotImplementedError

    def graded_relevance(self, split: str) -> npt.NDArray[np.float32] | None:
        """Known relevance (A, A) in [0, 1] between the recordings of a split, by row of its table; None: not known."""
        return None

    def event_counts(self, split: str) -> npt.NDArray[np.int64] | None:
        """Known number (A,) of sound events in each annotated recording of a split; None: not known."""
        return None

    def has_split(self, split: str) -> bool:
        """Whether there is such a split at all."""
        return True

    def setup(self, stage: str) -> None:
        """Read the tables that a stage needs ("fit", "validate", "test", "predict")."""
        for split in STAGE_SPLITS[stage]:
            if split not in self.tables:
                table = self.read_split(split)
                if split == "train":
                    table = self.trained_on(table)
                elif split == "validation" and self.validation_captions == "first":
                    table = table.first_captions()
                self.tables[split] = table
        if stage == "fit":
            for augmentation in self.augmentations:
                augmentation.prepare(self.tables["train"].audio["name"].to_pylist())
            len(self._pair_sampler())  # refuses a batch size that the split cannot fill, before anything is written

    def trained_on(self, table: SplitTable) -> SplitTable:
        """What this data module trains on, of the table of a training split."""
        table = table.drawn(self.train_fraction, self.fraction_seed)
        table = table.mislabelled(self.label_noise, self.fraction_seed)
        return table.first_captions() if self.train_captions == "first" else table

    @property
    def augmented(self) -> frozenset[Side]:
        """What the augmentations change."""
        return frozenset(side for augmentation in self.augmentations for side in augmentation.sides)

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
        if rate is None and self.experts:
            return 1  # there is nothing to decode
        if rate is None:
            raise DataError("data.sample_rate is not set and there is no model to ask for it; set data.sample_rate")
        return int(rate)

    @functools.cached_property
    def stores(self) -> dict[str, ExpertStore]:
        """The stores of `experts`, opened.

        Raises:
            DataError: one cannot be used.
        """
        return open_stores(self.experts)

    @property
    def seed(self) -> int:
        """Seed of order and crops."""
        return 0 if self._seed is None else self._seed

    def use_seed(self, seed: int) -> None:
        """Take the run's seed, unless this data module was given its own."""
        if self._seed is None:
            self._seed = seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of `batch_size` pairs; an epoch is every pair once (`captions_per_epoch`, `last_batch`).

        A resumed training continues with the batch after the last one it has taken.
        """
        dataset = PairDataset(
            self.tables["train"],
            self.sample_rate,
            self.max_seconds,
            self.seed,
            self.decode_audio,
            self.mix,
            self.augmentations,
        )
        sampler = self._pair_sampler()
        sampler.resume(*begins_at(self.trainer))
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

    def whole_recordings(self) -> WholeRecordings:
        """The recordings of all splits that are set up.

        Raises:
            DataError: some are longer than `max_seconds`.
        """
        tables = list(self.tables.values())
        datasets = [RecordingDataset(table, self.sample_rate, None, mix=self.mix) for table in tables]
        return WholeRecordings(tables, datasets, self.max_seconds, self.num_workers, self.mix)

    def beginnings(self, sample_rate: int, max_seconds: float | None) -> WholeRecordings:
        """The recordings of all splits that are set up, cropped from their beginning, for any model.

        Args:
            sample_rate: in Hz, that the model wants.
            max_seconds: longer recordings are cropped to.

        Raises:
            DataError: they cannot be read one by one.
        """
        tables = list(self.tables.values())
        datasets = [RecordingDataset(table, sample_rate, max_seconds, mix=self.mix) for table in tables]
        return WholeRecordings(tables, datasets, None, self.num_workers, self.mix)

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
            regroup=self._regroup(self.batch_size * world_size),
            one_caption=self.captions_per_epoch == "one",
            audio_ids=self.tables["train"].audio["audio_id"].to_numpy(),
            keep_last=self.last_batch == "keep",
            rank=rank,
            world_size=world_size,
        )

    def _regroup(self, batch_size: int) -> Regroup | None:
        if self.related is None:
            return None
        if batch_size % self.related.group:
            raise DataError(
                f"data.related.group is {self.related.group}, which does not divide a batch of {batch_size} pairs "
                "(over all devices); change it or data.batch_size"
            )
        return functools.partial(
            related_order,
            neighbours=self._neighbours,
            audio_of_pair=self.tables["train"].captions["audio_row"].to_numpy(),
            group=self.related.group,
            unique_audio=self.unique_audio,
        )

    @functools.cached_property
    def _neighbours(self) -> TextNeighbours:
        assert self.related is not None
        ids = self.tables["train"].captions["caption_id"].to_numpy()
        return read_neighbours(Path(self.related.neighbours).expanduser(), self.read_captions()[0], ids)

    def _evaluation_loader(self, split: str, left_out: frozenset[str] = frozenset()) -> DataLoader[Batch]:
        dataset = RecordingDataset(self.tables[split], self.sample_rate, self.max_seconds, self.decode_audio, self.mix)
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
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            persistent_workers=self.num_workers > 0,
        )

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)
