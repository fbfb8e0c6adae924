"""The queries of a submission, and which recordings are right where the file says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import DataError
from common.text import first_of
from datamodules.clotho import read_caption_csv
from datamodules.csv_files import read_csv
from datamodules.judgements.dcase_relevance import read_relevant_clips

HOW_TO_GET = "give the challenge's captions (a column `caption`), or captions in Clotho's layout"


@dataclass(frozen=True)
class Queries:
    """Q queries in the file's order; a text may come more than once.

    Attributes:
        texts: Q texts.
        relevant: names of the right recordings of each query; None: not known.
        per_recording: how many queries each recording has, in the file's order, where the file is sorted by recordings.
    """

    texts: list[str]
    relevant: Sequence[tuple[str, ...]] | None = None
    per_recording: tuple[int, ...] = ()

    @property
    def distinct(self) -> list[str]:
        """Each text once."""
        return list(dict.fromkeys(self.texts))


def read_query_file(path: Path) -> Queries:
    """The queries in a csv file of one of three kinds, known by its columns.

    `caption`: queries alone (`retrieval_captions.csv`); `file_name, caption_1, ...`: Clotho's layout, each caption is a
    query and its recording the right one; `query, audio_filenames`: lists of right recordings (DCASE 2025).

    Raises:
        DataError: no such file, none of these columns, no query, or an empty one.
    """
    rows = read_csv(path, (), "utf-8-sig", HOW_TO_GET, optional=("caption", "query", "audio_filenames"))
    if not rows:
        raise DataError(f"{path}: holds no queries; {HOW_TO_GET}")
    columns = list(rows[0][1])
    if {"file_name", "caption_1"} <= {*columns}:
        described = read_caption_csv(path)
        texts = [caption for _, captions in described for caption in captions]
        names = [(name,) for name, captions in described for _ in captions]
        return Queries(texts, names, tuple(len(captions) for _, captions in described))
    if {"query", "audio_filenames"} <= {*columns}:
        lists = read_relevant_clips(path)
        return Queries(list(lists), list(lists.values()))
    if "caption" not in columns:
        raise DataError(f"{path}: has no column 'caption' (found: {first_of(columns)}); {HOW_TO_GET}")
    if empty := [line for line, row in rows if not row["caption"].strip()]:
        raise DataError(f"{path}, line {empty[0]}: the caption is empty; fix or delete the row")
    return Queries([row["caption"] for _, row in rows])
