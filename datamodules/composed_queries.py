"""Files of composed queries: a recording, what is to be different, and the recording that fits."""

from pathlib import Path
from typing import NamedTuple

from common.errors import DataError
from datamodules.csv_faults import caption_fault
from datamodules.csv_files import read_csv, read_header

LAYOUTS = {"adiff": ("filepath1", "filepath2", "answer"), "plain": ("clip", "target", "text")}
"""Columns of ADIFF's csv files (Deshmukh et al. 2025: CLD of Clotho, ACD of AudioCaps), and of one's own."""
HOW_TO_GET = "give a csv with the columns clip, target, text, or one of ADIFF's (data/CLD of github.com/soham97/ADIFF)"


class ComposedQuery(NamedTuple):
    """Names of the recording to begin with and of the target, without folders, and the words."""

    clip: str
    target: str
    text: str


def read_composed_queries(path: Path) -> list[ComposedQuery]:
    """The queries of a csv file, in its order.

    Raises:
        DataError: as `read_csv`; it has no columns of `LAYOUTS`, or a row has an empty cell, no words, or one recording
            for both.
    """
    header = {*read_header(path, "utf-8-sig", HOW_TO_GET)}
    columns = next((names for names in LAYOUTS.values() if header >= {*names}), LAYOUTS["plain"])
    rows = read_csv(path, columns, "utf-8-sig", HOW_TO_GET)
    queries = []
    for line, row in rows:
        for column in columns:
            if not row[column].strip():
                raise DataError(f"{path}, line {line}: column '{column}' is empty; fix or delete the row")
        clip, text = row[columns[0]].strip(), row[columns[2]].strip()
        if fault := caption_fault(text):
            raise DataError(f"{path}, line {line}: column '{columns[2]}' {fault}; fix or delete the row")
        query = ComposedQuery(_file_name(row[columns[0]]), _file_name(row[columns[1]]), text)
        if query.clip == query.target:
            raise DataError(f"{path}, line {line}: '{clip}' is query and target; fix or delete the row")
        queries.append(query)
    if not queries:
        raise DataError(f"{path}: holds no queries; {HOW_TO_GET}")
    return queries


def _file_name(path: str) -> str:
    """What follows the last slash; blanks stay, since three of Clotho's names begin with one."""
    return path.rpartition("/")[2]
