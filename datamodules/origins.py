"""Where recordings came from: ids at Freesound or YouTube, by which data sets are joined."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from common.errors import DataError
from common.text import first_of
from datamodules.csv_faults import EMPTY, id_fault, plain_number
from datamodules.csv_files import read_csv, read_header

VIDEO = re.compile(r"Y?([\w-]{11})(?:_\d+){0,2}(?:\.\w{1,5})?", re.ASCII)
"""A video's id of 11 characters, after a Y or not, before a begin and an end or not, before an ending or not."""
ID_COLUMNS = {"sound_id": "freesound", "freesound_id": "freesound", "youtube_id": "youtube", "ytid": "youtube"}
"""Columns of ids, and whose ids they are."""


NO_ID = EMPTY | {"not found"}
"""What stands for an id that is not known; "Not found" in Clotho's files."""


class HasOrigins(Protocol):
    """What a search for leaks needs of a data set."""

    @property
    def splits(self) -> Sequence[str]:
        """Of "train", "validation", "test" those that there are."""

    def origins(self, split: str) -> Mapping[str, str]:
        """Where recordings came from, by name, e.g. "freesound:117790"."""


class ListedOrigins:
    """A list of ids that something was trained on, as far as a search for leaks is concerned.

    Args:
        path: a csv file with a column of `ID_COLUMNS`.

    Raises:
        DataError: it has no such column, or cannot be read.
    """

    splits = ("train",)

    def __init__(self, path: Path) -> None:
        self._origins = read_listed_origins(path)

    def origins(self, split: str) -> dict[str, str]:
        """All of the list."""
        return self._origins


def read_listed_origins(path: Path) -> dict[str, str]:
    """Origins by the ids of a csv file with columns of `ID_COLUMNS`; cells that hold no id are passed over.

    Raises:
        DataError: as `read_csv`; it has none of the columns, no ids, or one that a spreadsheet spoiled.
    """
    header = read_header(path, "utf-8-sig", "check the path")
    columns = [name for name in header if name.lower() in ID_COLUMNS]
    if not columns:
        raise DataError(
            f"{path}: has no column of ids (found: {first_of(header)}); call one {', '.join(list(ID_COLUMNS)[:-1])}"
        )
    found = {}
    for line, row in read_csv(path, columns, "utf-8-sig", "check the path"):
        for column in columns:
            text = plain_number(row[column].strip())
            if not text or text.casefold() in NO_ID:
                continue
            if fault := id_fault(text):
                raise DataError(f"{path}, line {line}: {column} '{text}' {fault}; give the id, or delete the row")
            found[text] = origin_of(ID_COLUMNS[column.lower()], text)
    if not found:
        raise DataError(f"{path}: column '{columns[0]}' holds no ids; get the file again")
    return found


def origin_of(source: str, text: str) -> str:
    """The origin of a recording that a source calls `text`; of a video its id, however it is written.

    >>> origin_of("freesound", "117790"), origin_of("youtube", "Y-TL8Mp3xcUM_0_10.mp3")
    ('freesound:117790', 'youtube:-TL8Mp3xcUM')
    """
    return f"{source}:{video_id(text) if source == 'youtube' else text.strip()}"


def video_id(text: str) -> str:
    """The id of a video in a text such as "Y9SHc-ev8Jfg_000030.wav"; any other text as it is.

    >>> video_id("9SHc-ev8Jfg_000030"), video_id("Yr1nicOVtvkQ"), video_id("aaa_30")
    ('9SHc-ev8Jfg', 'r1nicOVtvkQ', 'aaa_30')
    """
    found = VIDEO.fullmatch(text.strip())
    return found[1] if found else text.strip()
