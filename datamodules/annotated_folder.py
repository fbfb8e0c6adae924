"""Any corpus of recordings with captions: an annotation file, a map of its columns, and how the audio is called."""

import logging
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from common.errors import DataError
from common.numbers import check_numbers
from common.text import nearest_name
from datamodules.annotated import AnnotatedDataModule, Annotation
from datamodules.annotation_files import Row, cells, read_rows
from datamodules.audio import Segment
from datamodules.audio_folder import audio_by_path, audio_by_stem
from datamodules.csv_faults import EMPTY, caption_fault, plain_number

log = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
HOW_TO_GET = "give the corpus' folder as data.root, and its annotation files in data.annotations"


@dataclass(frozen=True)
class Columns:
    """Which column of an annotation file holds what; a dotted path reaches into nested json or yaml.

    Args:
        captions: one column, or several of which some may be empty; a column may also hold a list of texts.
        split: says which split a row is of, see `AnnotatedFolder.splits`; None: each split has a file of its own.
        start: second at which the recording begins in its file; None: files are whole recordings.
        end: second at which it ends; None: at the end of the file.
        group: recordings of one source, such as a video or a place, which must not be in two splits.
    """

    captions: str | list[str] = field(default_factory=lambda: ["caption"])
    split: str | None = None
    start: str | None = None
    end: str | None = None
    group: str | None = None


@dataclass
class _Clip:
    captions: list[str]
    segment: Segment | None
    group: str | None
    where: str


class AnnotatedFolder(AnnotatedDataModule):
    """Recordings and captions in any layout that a table of rows can say: csv, json, jsonl or yaml.

    Rows that name the same recording are its captions. Its audio is `root/audio/NAME`, or the one file at any depth
    below that is called so, with any audio ending. docs/annotated_folder.md shows six public corpora.

    Args:
        root: the folder of annotation files and audio.
        annotations: the annotation file below `root` of all splits, or of each ("train", "validation", "test").
        name: how a recording is called, made of columns: "{file_name}", "Y{youtube_id}", "{split}/{id}.flac".
        audio: the folder of recordings below `root`.
        columns: which column holds what.
        rows: key of the list of rows in a json or yaml file, dotted where it is nested.
        splits: what the column `columns.split` calls each split; rows of others are left.
        validation_share: share of the training recordings, chosen by group or name, that is set aside for validation,
            where no split is called so.
        **kwargs: the options of `AnnotatedDataModule` and `AudioCaptionDataModule`.

    Raises:
        DataError: settings that do not fit together; later, annotation files that are not as the settings say.
    """

    how_to_get: ClassVar[str] = HOW_TO_GET

    def __init__(
        self,
        root: str,
        annotations: str | dict[str, str],
        name: str = "{file_name}",
        audio: str = "audio",
        columns: Columns = Columns(),
        rows: str | None = None,
        splits: dict[str, str] | None = None,
        validation_share: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, **kwargs)
        self.columns, self.pattern, self.audio, self.rows = columns, name, audio, rows
        self.captions = [columns.captions] if isinstance(columns.captions, str) else list(columns.captions)
        self._fields = re.findall(r"{([^{}]+)}", name)
        if not self._fields or re.search(r"[{}]", re.sub(r"{[^{}]+}", "", name)):
            raise DataError(f"data.name is '{name}'; write columns in braces, such as '{{file_name}}'")
        if splits is not None and columns.split is None:
            raise DataError("data.splits names values of a column; name it in data.columns.split")
        self._values = splits or {split: split for split in SPLITS if columns.split is not None or split == "train"}
        self.files = dict.fromkeys(self._values, annotations) if isinstance(annotations, str) else annotations
        _check_splits("annotations", self.files)
        _check_splits("splits", self._values)
        if columns.end is not None and columns.start is None:
            raise DataError("data.columns.end is given without data.columns.start; give both")
        if not self.captions or not all(self.captions):
            raise DataError("data.columns.captions is empty; name a column that holds captions")
        if columns.start is not None and self.packed is not None:
            raise DataError("data.packed: recordings that are parts of longer files cannot be packed; leave it out")
        check_numbers(DataError, "data", 0, 0.99, validation_share=validation_share)
        if validation_share and "validation" in self.files:
            raise DataError("data.validation_share is for corpora without a validation split; leave it out")
        self.validation_share = validation_share
        made = {*self.files, *(["validation"] if validation_share else [])}
        self.splits = tuple(split for split in SPLITS if split in made)  # type: ignore[misc]
        self._clips: dict[str, dict[str, _Clip]] = {}

    def read_annotations(self, split: str) -> list[Annotation]:
        """Like `AnnotatedDataModule.read_annotations`."""
        return [Annotation(name, clip.captions) for name, clip in self.clips(split).items()]

    def origins(self, split: str) -> dict[str, str]:
        """Groups by name."""
        clips = self.clips(split).items()
        return {name: f"{self.columns.group}:{clip.group}" for name, clip in clips if clip.group is not None}

    def segment(self, split: str, name: str) -> Segment | None:
        """Like `AnnotatedDataModule.segment`, from the columns start and end."""
        return self.clips(split)[name].segment

    def find_audio(self, split: str, names: Sequence[str]) -> tuple[Path, list[Path | None]]:
        """Like `AnnotatedDataModule.find_audio`."""
        folder = self.audio_folder(self.audio)
        paths, stems = audio_by_path(folder), audio_by_stem(folder)
        of_path = {str(PurePosixPath(path).with_suffix("")): file for path, file in reversed(paths.items())}

        def find(name: str) -> Path | None:
            file = name.partition("#")[0] if self.columns.start is not None else name
            ending = PurePosixPath(file).suffix
            bare = file.removesuffix(ending) if ending.lower() in AUDIO_LIKE else file
            return paths.get(file) or of_path.get(bare) or stems.get(bare)

        return folder, [find(name) for name in names]

    def clips(self, split: str) -> dict[str, _Clip]:
        """The recordings of a split by name, read once; all splits are read, since no group may be in two."""
        if not self._clips:
            rows = {file: self._rows(self.root / file) for file in dict.fromkeys(self.files.values())}
            found = {name: self._of_rows(name, rows[file]) for name, file in self.files.items()}
            if self.validation_share and "train" in found:
                held_out = {name: clip for name, clip in found["train"].items() if self._is_held_out(name, clip)}
                found["validation"] = held_out
                found["train"] = {name: clip for name, clip in found["train"].items() if name not in held_out}
            self._warn_of_shared(found)
            self._clips = found
        return self._clips.get(split, {})

    def _rows(self, path: Path) -> list[Row]:
        wanted = [name for name in vars(self.columns).values() if isinstance(name, str)]
        asked = [*(name for name in self._fields if name != "split"), *self.captions, *wanted]
        return read_rows(path, list(dict.fromkeys(asked)), self.rows, HOW_TO_GET)

    def _of_rows(self, split: str, rows: list[Row]) -> dict[str, _Clip]:
        clips: dict[str, _Clip] = {}
        for row in rows:
            if self.columns.split is not None and cells(row, self.columns.split) != [self._values.get(split, split)]:
                continue
            name, segment = self._name(row, split), self._segment(row)
            captions = self._captions(row, name)
            if segment is not None:
                name = f"{name}#" + "-".join(f"{second:.15g}" for second in segment if second is not None)
            group = self._one(row, self.columns.group) if self.columns.group is not None else None
            clip = clips.setdefault(name, _Clip([], segment, group, row[0]))
            if clip.group != group:
                raise DataError(f"{row[0]}: '{name}' is of group '{group}' here, and of '{clip.group}' in {clip.where}")
            clip.captions += captions
        if not clips:
            raise DataError(
                f"{self.root / self.files[split]}: no row has '{self._values.get(split, split)}' in column "
                f"'{self.columns.split}'; set data.splits to the words of that column"
            )
        return clips

    def _name(self, row: Row, split: str) -> str:
        def value(field: re.Match[str]) -> str:
            return split if field[1] == "split" and "split" not in row[1] else plain_number(self._one(row, field[1]))

        name = re.sub(r"{([^{}]+)}", value, self.pattern)
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not name.isprintable() or "\\" in name or not path.parts:
            raise DataError(f"{row[0]}: {name!r} is not the name of a file below {self.audio}; fix the row")
        return name

    def _captions(self, row: Row, name: str) -> list[str]:
        captions = [text for column in self.captions for text in cells(row, column)]
        if not captions:
            raise DataError(f"{row[0]}: '{name}' has no caption; fix or delete the row")
        for text in captions:
            if fault := caption_fault(text):
                raise DataError(f"{row[0]}: a caption of '{name}' {fault}; empty the cell, or fix it")
        return captions

    def _segment(self, row: Row) -> Segment | None:
        if self.columns.start is None:
            return None
        start = self._seconds(row, self.columns.start)
        end = None if self.columns.end is None else self._seconds(row, self.columns.end)
        if end is not None and end <= start:
            raise DataError(f"{row[0]}: ends at {end:g} s and begins at {start:g} s; fix or delete the row")
        return start, end

    def _seconds(self, row: Row, column: str) -> float:
        text = self._one(row, column)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0):
            raise DataError(f"{row[0]}: {column} is '{text}', no number of seconds; fix or delete the row")
        return value

    def _one(self, row: Row, column: str) -> str:
        found = cells(row, column)
        if len(found) != 1 or found[0].casefold() in EMPTY:
            what = "is empty" if not found else f"is '{found[0]}'" if len(found) == 1 else f"holds {len(found)} values"
            raise DataError(f"{row[0]}: column '{column}' {what}; fix or delete the row")
        return found[0]

    def _is_held_out(self, name: str, clip: _Clip) -> bool:
        return zlib.crc32((clip.group or name).encode()) < self.validation_share * 2**32

    def _warn_of_shared(self, found: Mapping[str, Mapping[str, _Clip]]) -> None:
        """Say which groups, or else recordings, are in the training split and in another one."""
        keys = {split: {clip.group or name for name, clip in clips.items()} for split, clips in found.items()}
        for split in ("validation", "test"):
            if shared := sorted(keys.get("train", set()) & keys.get(split, set())):
                what = self.columns.group or "recording"
                log.warning(
                    "%s: %d of the %s split are in the training split too, so its figures are too good: %s '%s', ...",
                    self.root,
                    len(shared),
                    split,
                    what,
                    shared[0],
                )


AUDIO_LIKE = (".flac", ".wav", ".ogg", ".opus", ".mp3", ".m4a", ".mp4", ".webm", ".aac")
"""Endings that annotations give a file, whatever it was converted to since."""


def _check_splits(key: str, given: Mapping[str, str]) -> None:
    for name in given:
        if name not in SPLITS:
            raise DataError(
                f"data.{key}: there is no split '{name}'{nearest_name(name, SPLITS)}; give {', '.join(SPLITS)}"
            )
