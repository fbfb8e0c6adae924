"""Any corpus of recordings with captions: an annotation file, a map of its columns, and how the audio is called."""

import functools
import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from common.errors import DataError
from common.numbers import check_numbers
from common.text import nearest_name
from datamodules.annotated import AnnotatedDataModule, Annotation
from datamodules.annotated_rows import Clip, Columns, RowReader, fields_of
from datamodules.annotation_files import Row, cells, read_rows
from datamodules.audio import Segment
from datamodules.audio_folder import audio_by_path, audio_by_stem
from datamodules.id_lists import IdFile, origins_in

log = logging.getLogger(__name__)

PLAIN = Columns()
"""A column "caption", and nothing else."""
SPLITS = ("train", "validation", "test")
LANGUAGE = "{language}"
HOW_TO_GET = "give the corpus' folder as data.root, and its annotation files in data.annotations"


class AnnotatedFolder(AnnotatedDataModule):
    """Recordings and captions in any layout that a table of rows can say: csv, json, jsonl or yaml.

    Rows that name the same recording are its captions. Its audio is `root/audio/NAME`, or the one file at any depth
    below that is called so, with any audio ending. docs/annotated_folder.md shows public corpora.

    Args:
        root: the folder of annotation files and audio.
        annotations: the annotation file below `root` of all splits, or of each ("train", "validation", "test");
            `{language}` in it stands for each of the split's `languages`.
        name: how a recording is called, made of columns: "{file_name}", "Y{youtube_id}", "{split}/{id}.flac".
        audio: the folder of recordings below `root`.
        columns: which column holds what.
        rows: key of the list of rows in a json or yaml file, dotted where it is nested.
        splits: what the column `columns.split` calls each split; rows of others are left.
        validation_share: share of the training recordings, chosen by group, origin or name, that is set aside for
            validation, where no split is called so.
        origin: where a recording is from, "SOURCE:" and columns, such as "youtube:{youtube_id}" or
            "freesound:{sound_id}", by which data sets are joined (`audio-relevance leaks`). Of a video the id alone is
            taken, without its begin and end. Recordings of one origin stay in one split.
        exclude: files of ids at the same source; their recordings are left out of training and validation.
        languages: of the captions that each split takes, where `columns.language` or `annotations` tells them apart;
            default: all.
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
        columns: Columns = PLAIN,
        rows: str | None = None,
        splits: dict[str, str] | None = None,
        validation_share: float = 0.0,
        origin: str | None = None,
        exclude: list[IdFile] | None = None,
        languages: dict[str, list[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, **kwargs)
        self.columns, self.pattern, self.audio, self.rows = columns, name, audio, rows
        self.origin, self.exclude, self.languages = origin, exclude or [], languages
        if not fields_of(name):
            raise DataError(f"data.name is '{name}'; write columns in braces, such as '{{file_name}}'")
        if origin is not None and not (origin.partition(":")[0].isidentifier() and fields_of(origin)):
            raise DataError(f"data.origin is '{origin}'; write 'youtube:{{COLUMN}}', or 'freesound:{{COLUMN}}'")
        if self.exclude and origin is None:
            raise DataError("data.exclude names ids of a source; say in data.origin which column holds them here")
        if splits is not None and columns.split is None:
            raise DataError("data.splits names values of a column; name it in data.columns.split")
        self._values = splits or {split: split for split in SPLITS if columns.split is not None or split == "train"}
        self.files = dict.fromkeys(self._values, annotations) if isinstance(annotations, str) else annotations
        _check_splits("annotations", self.files)
        _check_splits("splits", self._values)
        self._check_languages()
        if columns.end is not None and columns.start is None:
            raise DataError("data.columns.end is given without data.columns.start; give both")
        if not columns.texts or not all(columns.texts):
            raise DataError("data.columns.captions is empty; name a column that holds captions")
        if columns.start is not None and self.packed is not None:
            raise DataError("data.packed: recordings that are parts of longer files cannot be packed; leave it out")
        check_numbers(DataError, "data", 0, 0.99, validation_share=validation_share)
        if validation_share and "validation" in self.files:
            raise DataError("data.validation_share is for corpora without a validation split; leave it out")
        self.validation_share = validation_share
        made = {*self.files, *(["validation"] if validation_share else [])}
        self.splits = tuple(split for split in SPLITS if split in made)  # type: ignore[misc]
        self._clips: dict[str, dict[str, Clip]] = {}

    @property
    def label(self) -> str:
        """The folder, and the languages where they were chosen."""
        chosen = [f"{split}: {' '.join(names)}" for split, names in (self.languages or {}).items()]
        return self.root.name + (f" ({'; '.join(chosen)})" if chosen else "")

    def read_annotations(self, split: str) -> list[Annotation]:
        """Like `AnnotatedDataModule.read_annotations`."""
        return [Annotation(name, clip.captions) for name, clip in self.clips(split).items()]

    def origins(self, split: str) -> dict[str, str]:
        """Origins by name; where `origin` does not say them, the groups."""
        clips = self.clips(split).items()
        if self.origin is not None:
            return {name: clip.origin for name, clip in clips if clip.origin is not None}
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

    def clips(self, split: str) -> dict[str, Clip]:
        """The recordings of a split by name, read once; all splits are read, since no group may be in two."""
        if not self._clips:
            found = {name: self._of_rows(name, rows) for name, rows in self._rows()}
            if self.validation_share and "train" in found:
                held_out = {name: clip for name, clip in found["train"].items() if self._is_held_out(name, clip)}
                found["validation"] = held_out
                found["train"] = {name: clip for name, clip in found["train"].items() if name not in held_out}
            self._leave_out(found)
            self._warn_of_shared(found)
            self._clips = found
        return self._clips.get(split, {})

    def group_of(self, name: str, clip: Clip) -> str | None:
        """What a recording shares with others that must not be in another split; here, what the column says."""
        return clip.group

    def _rows(self) -> Iterator[tuple[str, list[Row]]]:
        """The rows of the files of each split; a file of several is read once."""
        asked = self.columns.needed([self.pattern, self.origin or ""])
        read = functools.cache(lambda file: read_rows(self.root / file, asked, self.rows, self.how_to_get))
        for split, pattern in self.files.items():
            chosen = (self.languages or {}).get(split, [])
            files = [pattern.replace(LANGUAGE, each) for each in chosen] if LANGUAGE in pattern else [pattern]
            yield split, [row for file in files for row in read(file)]

    def _of_rows(self, split: str, rows: list[Row]) -> dict[str, Clip]:
        clips: dict[str, Clip] = {}
        reader = RowReader(self.columns, self.pattern, self.origin, self.audio)
        for row in rows:
            if not self._is_taken(row, split):
                continue
            name, clip = reader.read(row, split)
            clip.group = self.group_of(name, clip)
            first = clips.setdefault(name, clip)
            if first.group != clip.group:
                raise DataError(
                    f"{row[0]}: '{name}' is of group '{clip.group}' here, and of '{first.group}' in {first.where}"
                )
            if first is not clip:
                first.captions += clip.captions
        if not clips:
            wanted, column, key = f"'{self._values.get(split, split)}'", self.columns.split, "splits"
            if self.languages is not None and self.columns.language is not None:
                wanted, column, key = " or ".join(self.languages[split]), self.columns.language, "languages"
            raise DataError(
                f"{self.root / self.files[split]}: no row has {wanted} in column '{column}'; set data.{key} to the "
                "words of that column"
            )
        return clips

    def _is_taken(self, row: Row, split: str) -> bool:
        if self.columns.split is not None and cells(row, self.columns.split) != [self._values.get(split, split)]:
            return False
        if self.columns.language is None or self.languages is None:
            return True
        return cells(row, self.columns.language) in [[each] for each in self.languages[split]]

    def _check_languages(self) -> None:
        in_files = any(LANGUAGE in file for file in self.files.values())
        if self.languages is None:
            if in_files:
                raise DataError(f"data.annotations holds {LANGUAGE}; say in data.languages which each split takes")
            return
        _check_splits("languages", self.languages)
        if not in_files and self.columns.language is None:
            raise DataError(
                f"data.languages is given, but nothing tells languages apart; name data.columns.language, or write "
                f"{LANGUAGE} into data.annotations"
            )
        if missing := [split for split in self.files if not self.languages.get(split)]:
            raise DataError(f"data.languages has none for {missing[0]}; name those that the split takes")

    def _is_held_out(self, name: str, clip: Clip) -> bool:
        return zlib.crc32(clip.source(name).encode()) < self.validation_share * 2**32

    def _leave_out(self, found: dict[str, dict[str, Clip]]) -> None:
        """Drop recordings that `exclude` names from all splits but the test."""
        if not self.exclude or self.origin is None:
            return
        left_out = origins_in(self.exclude, self.origin.partition(":")[0])
        for split in found.keys() - {"test"}:
            kept = {name: clip for name, clip in found[split].items() if clip.origin not in left_out}
            log.info("%s: %d of %d left out of %s", self.root, len(found[split]) - len(kept), len(found[split]), split)
            found[split] = kept

    def _warn_of_shared(self, found: Mapping[str, Mapping[str, Clip]]) -> None:
        """Say which groups, or else recordings, are in the training split and in another one."""
        keys = {split: {clip.source(name) for name, clip in clips.items()} for split, clips in found.items()}
        for split in ("validation", "test"):
            if shared := sorted(keys.get("train", set()) & keys.get(split, set())):
                what = self.columns.group or ("origin" if self.origin else "recording")
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


def _check_splits(key: str, given: Iterable[str]) -> None:
    for name in given:
        if name not in SPLITS:
            raise DataError(
                f"data.{key}: there is no split '{name}'{nearest_name(name, SPLITS)}; give {', '.join(SPLITS)}"
            )
