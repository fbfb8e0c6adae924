"""Annotation files in csv, with a one-line message for each mistake they can have."""

import csv
from collections.abc import Sequence
from pathlib import Path

from common.errors import DataError


def read_csv(path: Path, columns: Sequence[str], encoding: str, how_to_get: str) -> list[tuple[int, dict[str, str]]]:
    """(line number, row by column) of a csv file that must have `columns`; absent cells are empty strings.

    Raises:
        DataError: no such file, another encoding, a missing column, a quote that is never closed, or a row with more
            cells than columns.
    """
    try:
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            if absent := [column for column in columns if column not in (reader.fieldnames or [])]:
                found = ", ".join(reader.fieldnames or []) or "none"
                raise DataError(f"{path}: column '{absent[0]}' is missing (found: {found}); get the file again")
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {how_to_get}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); get the file again") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not in {encoding} ({error}); save it in that encoding") from error
    except csv.Error as error:
        raise DataError(f"{path}: is not a csv file ({error}); fix its quotes, or get the file again") from error
    for line, row in rows:
        if None in row:
            raise DataError(
                f"{path}, line {line}: has more cells than the header; put text that holds commas in double quotes"
            )
    return rows
