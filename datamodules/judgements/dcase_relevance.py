"""Human annotations of all recordings that match a caption: the csv file of DCASE 2025 task 6."""

import ast
import io
import tokenize
from pathlib import Path

from common.errors import DataError
from common.text import given_twice
from datamodules.csv_files import read_csv

COLUMNS = ("query", "audio_filenames")
HOW_TO_GET = "get the relevance annotations of DCASE 2025 task 6 for Clotho's evaluation split"


def read_relevant_clips(path: Path) -> dict[str, tuple[str, ...]]:
    """File names of the relevant recordings by query text, in the file's order.

    The columns are `query`, a caption (blanks around it are dropped), and `audio_filenames`, a list as Python writes
    it: `['rain.wav', 'a dog.wav']`; names are taken exactly as written. A row that is there twice counts once.

    Raises:
        DataError: no such file, a missing column, no rows, an empty query, a cell that is no list of file names, an
            empty list, a name twice in a list, or a query twice with other recordings.
    """
    lists: dict[str, tuple[str, ...]] = {}
    for line, row in read_csv(path, COLUMNS, "utf-8-sig", HOW_TO_GET):
        where, query = f"{path}, line {line}", row["query"].strip()
        if not query:
            raise DataError(f"{where}: the query is empty; fix or delete the row")
        names = _names(row["audio_filenames"], where)
        if set(lists.setdefault(query, names)) != set(names):
            raise DataError(f"{where}: query '{query}' was listed before with other recordings; join the two rows")
    if not lists:
        raise DataError(f"{path}: holds no queries; {HOW_TO_GET}")
    return lists


def _names(cell: str, where: str) -> tuple[str, ...]:
    """The file names of a cell."""
    try:
        names = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        shown = repr(cell if len(cell) <= 60 else f"{cell[:60]}...")
        raise DataError(f"{where}: audio_filenames is {shown}; give a list of file names such as ['a.wav', 'b.wav']")
    tokens = tokenize.generate_tokens(io.StringIO(cell.strip()).readline)
    if sum(token.type == tokenize.STRING for token in tokens) > len(names):  # Python joins 'a' 'b' into 'ab'
        raise DataError(f"{where}: audio_filenames has no comma between two names; put one there")
    if not names:
        raise DataError(f"{where}: audio_filenames is an empty list; name a recording, or delete the row")
    if (twice := given_twice(names)) is not None:
        raise DataError(f"{where}: audio_filenames names '{twice}' twice; delete one of them")
    return tuple(names)
