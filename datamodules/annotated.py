"""Data sets whose annotation files name recordings that may or may not be there: from rows to a split's table."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from rich.progress import track

from common.errors import DataError
from datamodules.audio import PACK, AudioInfo, Segment, part_of
from datamodules.base import AudioCaptionDataModule
from datamodules.experts.in_tables import ExpertFrames, present_in
from datamodules.experts.store import Recording, captions_checksum
from datamodules.file_names import warn_of_same
from datamodules.shards.format import read_index
from datamodules.table import AudioRow, SplitTable, split_table

log = logging.getLogger(__name__)

Tolerance = Literal["skip", "refuse"]
NO_AUDIO = AudioInfo(0, 1)
"""Of a recording whose features stand in for it."""


class Annotation(NamedTuple):
    """What a data set says of one recording: its name, unique in a split, and its captions."""

    name: str
    captions: list[str]


class _File(NamedTuple):
    """A recording's file, of which it is what follows the sample `begin`; with an offset, the shard it is packed in."""

    path: Path
    info: AudioInfo
    offset: int | None = None
    gain: float = 1.0
    begin: int = 0


class AnnotatedDataModule(AudioCaptionDataModule):
    """A data module made of annotation files and audio files.

    A subclass says which splits there are, reads the annotations of one, and finds the file of a recording. Ids run
    over all annotated rows of all splits, so they do not depend on which audio files happen to be there.

    Args:
        root: the data set's folder.
        missing_audio: what an annotated recording without a file does: "skip" it, or "refuse" to run.
        broken_audio: what a file that cannot be read does: "skip" it, or "refuse" to run.
        packed: folder of shards that `audio-relevance pack` made of this data set, to read the audio from; default:
            its own files.
        **kwargs: the options of `AudioCaptionDataModule`.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "validation", "test")
    how_to_get: ClassVar[str] = ""

    def __init__(
        self,
        root: str,
        *,
        missing_audio: Tolerance = "skip",
        broken_audio: Tolerance = "refuse",
        packed: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if packed is not None and self.mix != "mean":
            raise DataError(
                f"data.mix is {self.mix}, but data.packed holds recordings mixed to their mean; leave one of them out"
            )
        self.root = Path(root).expanduser()
        self.missing_audio = missing_audio
        self.broken_audio = broken_audio
        self.packed = None if packed is None else Path(packed).expanduser()
        self._annotations: dict[str, list[Annotation]] = {}

    def read_annotations(self, split: str) -> list[Annotation]:
        """The recordings of "train", "validation" or "test", in the order of the annotation file."""
        raise NotImplementedError

    def origins(self, split: str) -> dict[str, str]:
        """Where recordings came from, by name, e.g. "freesound:117790"; of two recordings that share it, both leak."""
        return {}

    def find_audio(self, split: str, names: Sequence[str]) -> tuple[Path, list[Path | None]]:
        """The folder a split's audio is looked for in, and the file of each recording, None where there is none."""
        raise NotImplementedError

    def segment(self, split: str, name: str) -> Segment | None:
        """The part of its file that a recording is; None: the whole file."""
        return None

    def located(self, split: str) -> tuple[Path, list[tuple[Path | None, Segment | None]]]:
        """The folder of `find_audio`, and of each annotated recording its file and the part of it that it is."""
        names = [row.name for row in self.annotations(split)]
        folder, paths = self.find_audio(split, names)
        found = [(path, self.segment(split, name)) for path, name in zip(paths, names, strict=True)]
        warn_of_same(split, names, found)
        return folder, found

    def audio_folder(self, *path: str) -> Path:
        """A folder of recordings below `root`.

        Raises:
            DataError: it is missing.
        """
        folder = self.root.joinpath(*path)
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of recordings; {self.how_to_get}")
        return folder

    def annotations(self, split: str) -> list[Annotation]:
        """`read_annotations`, read once."""
        if split not in self._annotations:
            self._annotations[split] = self.read_annotations(split)
        return self._annotations[split]

    def read_captions(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Like `AudioCaptionDataModule.read_captions`."""
        rows = [row for split in self.splits for row in self.annotations(split)]
        captions = [caption for row in rows for caption in row.captions]
        return captions, np.repeat(np.arange(len(rows)), [len(row.captions) for row in rows])

    def read_names(self) -> list[str]:
        """Like `AudioCaptionDataModule.read_names`."""
        return [row.name for split in self.splits for row in self.annotations(split)]

    def caption_ids(self, split: str) -> npt.NDArray[np.int64]:
        """Like `AudioCaptionDataModule.caption_ids`."""
        if split not in self.splits:
            return np.empty(0, dtype=np.int64)
        counts = [sum(len(row.captions) for row in self.annotations(name)) for name in self.splits]
        number = self.splits.index(split)
        return np.arange(sum(counts[:number]), sum(counts[: number + 1]))

    def has_split(self, split: str) -> bool:
        """Like `AudioCaptionDataModule.has_split`."""
        return split in self.splits

    def annotated_count(self) -> int:
        """Recordings that the annotation files name, over all splits; audio ids are smaller."""
        return sum(len(self.annotations(split)) for split in self.splits)

    def read_split(self, split: str) -> SplitTable:
        """Like `AudioCaptionDataModule.read_split`."""
        annotations = self.annotations(split) if split in self.splits else []
        if not annotations:
            raise DataError(
                f"{type(self).__name__} at {self.root} has no {split} recordings; evaluate on another with Mixture"
                + (", or set data.validation_share" if split == "validation" else "")
            )
        before = [row for earlier in self.splits[: self.splits.index(split)] for row in self.annotations(earlier)]
        audio_id, caption_id = len(before), sum(len(row.captions) for row in before)
        rows: list[AudioRow] = []
        captions: list[tuple[int, int, str]] = []
        missing: list[str] = []
        broken: list[str] = []
        folder, files = self._files(split, annotations, broken)
        total = len(annotations)
        for row, file in track(
            zip(annotations, files, strict=True), f"checking {split} audio", total=total, transient=True
        ):
            if file is not None:
                captions += [(caption_id + i, len(rows), text) for i, text in enumerate(row.captions)]
                rows.append(AudioRow(audio_id, row.name, *file))
            elif row.name not in broken[-1:]:
                missing.append(row.name)
            audio_id += 1
            caption_id += len(row.captions)
        self._report(folder, missing, broken, total)
        places = tuple((0, split, row.name) for row in rows)
        experts = {name: ExpertFrames((store,), places) for name, store in self.stores.items()}
        return split_table(rows, captions, [*missing, *broken], experts)

    def recordings(self, split: str) -> list[Recording]:
        """The annotated recordings of a split as stores of features list them."""
        return [Recording(split, row.name, captions_checksum(row.captions)) for row in self.annotations(split)]

    def feature_ids(self, split: str, name: str) -> list[str]:
        """What archives of features may call a recording, likeliest first: its name, or that without the ending."""
        return [name, Path(name).stem]

    def _files(
        self, split: str, annotations: list[Annotation], broken: list[str]
    ) -> tuple[Path, Iterator[_File | None]]:
        """Where a split's audio is, and of each recording the file, None where there is none that can be read.

        The names of those that cannot be read are added to `broken`.
        """
        names = [row.name for row in annotations]
        if self.experts:
            present = present_in(self.stores, self.recordings(split))
            files = (
                _File(self.root / name, NO_AUDIO) if there else None for name, there in zip(names, present, strict=True)
            )
            return Path(" ".join(map(str, self.experts.values()))), files
        if self.packed is None:
            folder, found = self.located(split)
            return folder, (
                self._file(path, part, name, broken) for (path, part), name in zip(found, names, strict=True)
            )
        rate = self.sample_rate
        index = read_index(self.packed, rate, check=not self.tables)  # the shards of all splits, at the start
        packed = map(index.get, [(split, name) for name in names])
        return self.packed, (
            audio and _File(audio.shard, AudioInfo(audio.frames, rate), audio.offset, audio.gain) for audio in packed
        )

    def _file(self, path: Path | None, part: Segment | None, name: str, broken: list[str]) -> _File | None:
        if path is None:
            return None
        try:
            info, begin = part_of(path, part)
            return _File(path, info, begin=begin)
        except DataError:
            if self.broken_audio == "refuse":
                raise
            broken.append(name)
            return None

    def _report(self, folder: Path, missing: list[str], broken: list[str], total: int) -> None:
        remedy = f"pack this data set into it with {PACK}" if folder == self.packed else self.how_to_get
        for names, fault in ((missing, "are missing"), (broken, "cannot be read")):
            if not names:
                continue
            shown = ", ".join(repr(name) for name in names[:10]) + (", ..." if len(names) > 10 else "")
            message = f"{folder}: {len(names)} of {total} annotated recordings {fault}: {shown}"
            if len(missing) + len(broken) == total or (names is missing and self.missing_audio == "refuse"):
                raise DataError(f"{message}; {remedy}")
            log.warning("%s; continuing without them (the full list is in the manifest)", message)
