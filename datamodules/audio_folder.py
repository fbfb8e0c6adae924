"""Folders of audio files: which there are, and a data module of all of them, without captions, to be embedded."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track
from torch.utils.data import DataLoader

from common.errors import DataError
from datamodules.annotated import NO_AUDIO, Tolerance
from datamodules.audio import AudioInfo, read_info
from datamodules.base import AudioCaptionDataModule
from datamodules.batch import Batch, Example, collate
from datamodules.examples import RecordingDataset
from datamodules.experts.in_tables import ExpertFrames
from datamodules.table import AudioRow, SplitTable, split_table

log = logging.getLogger(__name__)

AUDIO_ENDINGS = (".flac", ".wav", ".ogg", ".opus", ".mp3")


def audio_by_stem(folder: Path) -> dict[str, Path]:
    """Every audio file at any depth below `folder`, by its name without the ending.

    Of two files with one stem the one whose ending comes first in `AUDIO_ENDINGS` is taken, then the first path in
    alphabetical order, so that the choice does not depend on the file system.
    """
    found: dict[str, tuple[int, str]] = {}
    for path in _audio_files(folder):
        stem, ending = os.path.splitext(os.path.basename(path))
        candidate = (AUDIO_ENDINGS.index(ending.lower()), path)
        found[stem] = min(found.get(stem, candidate), candidate)
    return {stem: Path(path) for stem, (_, path) in found.items()}


def audio_by_path(folder: Path) -> dict[str, Path]:
    """Every audio file at any depth below `folder`, by its path in it ("rain/roof.wav"), in alphabetical order.

    Hidden files are left: of `a.wav` some systems leave a `._a.wav` that is no audio.
    """
    names = {Path(path).relative_to(folder).as_posix(): Path(path) for path in _audio_files(folder)}
    return {name: names[name] for name in sorted(names) if not os.path.basename(name).startswith(".")}


def recordings_in(folder: Path) -> dict[str, Path]:
    """`audio_by_path` of a folder that should hold recordings.

    Raises:
        DataError: there is no such folder, or no audio in it.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}; give the folder of your recordings")
    files = audio_by_path(folder)
    if not files:
        raise DataError(f"{folder}: no audio files ({' '.join(AUDIO_ENDINGS)}) in it or below; check the path")
    return files


def _audio_files(folder: Path) -> Iterator[str]:
    seen: set[str] = set()  # a link may lead back to a folder above it
    for parent, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(parent)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for name in names:
            if os.path.splitext(name)[1].lower() in AUDIO_ENDINGS:
                yield os.path.join(parent, name)


class AudioFolder(AudioCaptionDataModule):
    """Any folder of recordings, at any depth, of any rate and channels; `predict` embeds them, nothing else can.

    A recording's name is its path in the folder, so two files of the same name in different folders stay distinct.
    Recordings longer than `max_seconds` are embedded by their beginning, as in evaluation.

    Args:
        root: the folder.
        broken_audio: what a file that cannot be read does: "skip" it, with a warning, or "refuse" to run.
        **kwargs: the options of `AudioCaptionDataModule` that embedding needs; `max_seconds` should be what the model
            was trained with.
    """

    def __init__(self, root: str, *, broken_audio: Tolerance = "skip", **kwargs: Any) -> None:
        super().__init__(
            unique_audio=True,
            seed=None,
            related=None,
            captions_per_epoch="all",
            last_batch="drop",
            validation_captions="all",
            train_fraction=1.0,
            train_captions="all",
            label_noise=0.0,
            fraction_seed=0,
            augmentations=None,
            **kwargs,
        )
        self.root = Path(root).expanduser()
        self.broken_audio = broken_audio
        self._files: dict[str, Path] = {}

    def read_captions(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """There are none.

        Raises:
            DataError: always.
        """
        raise DataError(
            f"{self.root}: AudioFolder has recordings without captions, for `predict` only; fit, validate and test "
            "take an annotated data set"
        )

    def has_split(self, split: str) -> bool:
        """Like `AudioCaptionDataModule.has_split`: none but the recordings of `predict`."""
        return False

    def setup(self, stage: str) -> None:
        """List the files.

        Raises:
            DataError: the stage needs captions, or there is no such folder, or no audio in it.
        """
        if stage != "predict":
            self.read_captions()
        if self.experts:
            self.tables["test"] = self.read_split("test")
            return
        self._files = recordings_in(self.root)

    def predict_files(self) -> dict[str, Path]:
        """Like `AudioCaptionDataModule.predict_files`; whether they can be read is not known yet."""
        return self._files

    def read_split(self, split: str) -> SplitTable:
        """The recordings that were not left out and can be read; their ids count all of them."""
        if self.experts:
            return self._featured()
        rows: list[AudioRow] = []
        files = [(number, *file) for number, file in enumerate(self._files.items()) if file[0] not in self._left_out]
        for number, name, path in track(files, "checking audio", transient=True):
            try:
                rows.append(AudioRow(number, name, path, _info(path)))
            except DataError as error:
                if self.broken_audio == "refuse":
                    raise
                if self._ranks()[0] == 0:
                    log.warning("left out: %s", error)
        return split_table(rows, [])

    def _featured(self) -> SplitTable:
        """The recordings that a store lists and that were not left out; their ids count all listed ones."""
        listed = list(dict.fromkeys(key for store in self.stores.values() for key in store.rows))
        self._files = {name: self.root / name for _, name in listed}
        rows = [
            AudioRow(i, key[1], self.root / key[1], NO_AUDIO)
            for i, key in enumerate(listed)
            if key[1] not in self._left_out
        ]
        places = tuple((0, *key) for key in listed if key[1] not in self._left_out)
        return split_table(
            rows, [], experts={name: ExpertFrames((store,), places) for name, store in self.stores.items()}
        )

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Like `AudioCaptionDataModule.predict_dataloader`; where no file of a batch can be decoded, it is None."""
        self.tables["test"] = table = self.read_split("test")
        kind = ReadableRecordings if self.broken_audio == "skip" else RecordingDataset
        return self._recording_loader(kind(table, self.sample_rate, self.max_seconds), collate_fn=collate_readable)


class ReadableRecordings(RecordingDataset):
    """Like `RecordingDataset`, but None, and a warning, for a recording that cannot be decoded."""

    def __getitem__(self, row: int) -> Example | None:  # type: ignore[override]
        try:
            return super().__getitem__(row)
        except DataError as error:
            log.warning("left out: %s", error)
            return None


def collate_readable(examples: Sequence[Example | None]) -> Batch | None:
    """`collate` of the examples that are there, None where there are none."""
    readable = [example for example in examples if example is not None]
    return collate(readable) if readable else None


def _info(path: Path) -> AudioInfo:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{str(path)!r}: its name is not UTF-8; rename it") from error
    return read_info(path)
