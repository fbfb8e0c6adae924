"""From the rows of an annotation file to recordings with captions, by a map of its columns."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from common.errors import DataError
from common.numbers import number_in
from datamodules.annotation_files import Row, cells
from datamodules.audio import Segment
from datamodules.csv_faults import EMPTY, caption_fault, plain_number
from datamodules.origins import origin_of

FIELD = re.compile(r"{([^{}]+)}")


@dataclass(frozen=True)
class Columns:
    """Which column of an annotation file holds what; a dotted path reaches into nested json or yaml.

    Args:
        captions: one column, or several of which some may be empty; a column may also hold a list of texts.
        split: says which split a row is of, see `AnnotatedFolder.splits`; None: each split has a file of its own.
        start: second at which the recording begins in its file; None: files are whole recordings.
        end: second at which it ends; None: at the end of the file.
        group: recordings of one source, such as a video or a place, which must not be in two splits.
        language: says which language a row's captions are in, see `AnnotatedFolder.languages`.
    """

    captions: str | list[str] = field(default_factory=lambda: ["caption"])
    split: str | None = None
    start: str | None = None
    end: str | None = None
    group: str | None = None
    language: str | None = None

    @property
    def texts(self) -> list[str]:
        """The columns of captions, also where there is one."""
        return [self.captions] if isinstance(self.captions, str) else list(self.captions)

    def needed(self, patterns: Sequence[str]) -> list[str]:
        """All columns that a file must have: those named here, and in patterns; one of splits may be made up."""
        single = [name for name in vars(self).values() if isinstance(name, str)]
        fields = [name for pattern in patterns for name in FIELD.findall(pattern) if name != "split"]
        return list(dict.fromkeys([*fields, *self.texts, *single]))


@dataclass
class Clip:
    """A recording as its rows describe it; `where` is the first of them."""

    captions: list[str]
    segment: Segment | None
    group: str | None
    origin: str | None
    where: str

    def source(self, name: str) -> str:
        """What must not be in two splits: the group or origin, else the recording called `name` itself."""
        return self.group or self.origin or name


@dataclass(frozen=True)
class RowReader:
    """Reads a recording out of a row.

    Args:
        columns: which column holds what.
        name: pattern of a recording's name.
        origin: pattern of its origin, after the source and a colon; None: it is not known.
        audio: the folder of recordings, for messages.
    """

    columns: Columns
    name: str
    origin: str | None
    audio: str

    def read(self, row: Row, split: str) -> tuple[str, Clip]:
        """A recording's name, unique in a split, and what the row says of it.

        Raises:
            DataError: a cell is empty, or holds what it cannot.
        """
        name, segment = self._name(row, split), self._segment(row)
        captions = self._captions(row, name)
        if segment is not None:
            name = f"{name}#" + "-".join(f"{second:.15g}" for second in segment if second is not None)
        group = _one(row, self.columns.group) if self.columns.group is not None else None
        origin = None
        if self.origin is not None:
            source, _, pattern = self.origin.partition(":")
            origin = origin_of(source, _filled(pattern, row, split))
        return name, Clip(captions, segment, group, origin, row[0])

    def _name(self, row: Row, split: str) -> str:
        name = _filled(self.name, row, split)
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not name.isprintable() or "\\" in name or not path.parts:
            raise DataError(f"{row[0]}: {name!r} is not the name of a file below {self.audio}; fix the row")
        return name

    def _captions(self, row: Row, name: str) -> list[str]:
        captions = [text for column in self.columns.texts for text in cells(row, column)]
        if not captions:
            raise DataError(f"{row[0]}: '{name}' has no caption; fix or delete the row")
        for text in captions:
            if fault := caption_fault(text):
                raise DataError(f"{row[0]}: a caption of '{name}' {fault}; empty the cell, or fix it")
        return captions

    def _segment(self, row: Row) -> Segment | None:
        if self.columns.start is None:
            return None
        start = _seconds(row, self.columns.start)
        end = None if self.columns.end is None else _seconds(row, self.columns.end)
        if end is not None and end <= start:
            raise DataError(f"{row[0]}: ends at {end:g} s and begins at {start:g} s; fix or delete the row")
        return start, end


def fields_of(pattern: str) -> list[str]:
    """The columns that a pattern such as "Y{youtube_id}" is made of; none where its braces do not fit together."""
    return [] if re.search(r"[{}]", FIELD.sub("", pattern)) else FIELD.findall(pattern)


def _filled(pattern: str, row: Row, split: str) -> str:
    """A pattern with the row's cells; {split} is the split's own name where there is no such column."""

    def value(found: re.Match[str]) -> str:
        return split if found[1] == "split" and "split" not in row[1] else plain_number(_one(row, found[1]))

    return FIELD.sub(value, pattern)


def _seconds(row: Row, column: str) -> float:
    text = _one(row, column)
    value = number_in(text)
    if not (math.isfinite(value) and value >= 0):
        raise DataError(f"{row[0]}: {column} is '{text}', no number of seconds; fix or delete the row")
    return value


def _one(row: Row, column: str) -> str:
    found = cells(row, column)
    if len(found) != 1 or found[0].casefold() in EMPTY:
        what = "is empty" if not found else f"is '{found[0]}'" if len(found) == 1 else f"holds {len(found)} values"
        raise DataError(f"{row[0]}: column '{column}' {what}; fix or delete the row")
    return found[0]
