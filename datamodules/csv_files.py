"""Annotation files in csv, with a one-line message for each mistake they can have."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from common.errors import DataError
from common.text import first_of
from datamodules.csv_faults import header_hint, separator_hint, swallowed_row, utf_16


def read_text(path: Path, how_to_get: str, encoding: str = "utf-8-sig") -> str:
    """The text of an annotation file.

    Raises:
        DataError: no such file (the message says `how_to_get` it), it cannot be read, or is in another encoding.
    """
    try:
        content = path.read_bytes()
        if utf_16(content):
            raise DataError(f"{path}: is in UTF-16, as some spreadsheets save text; save it as UTF-8")
        return content.decode(encoding)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {how_to_get}") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: is a folder; give the path of a file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); get the file again") from error
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding.startswith("utf-8") else encoding
        raise DataError(
            f"{path}: is not in {name} ({error.reason} at byte {error.start}); save it as {name}"
        ) from error


def read_csv(
    path: Path, columns: Sequence[str], encoding: str, how_to_get: str, optional: Sequence[str] = ()
) -> list[tuple[int, dict[str, str]]]:
    """(line number, row by column) of a csv file that must have `columns`; absent cells are empty strings.

    Args:
        path: the file.
        columns: it must have them.
        encoding: of it.
        how_to_get: the remedy where there is no such file.
        optional: columns that it may have once.

    Raises:
        DataError: no such file, an empty one where columns are asked for, another encoding or separator, a column that
            is missing or there twice, a quote that is never closed or takes in other rows, a last row that is cut off,
            or a row with more cells than columns.
    """
    text = read_text(path, how_to_get, encoding)
    rows = _rows(path, text)
    header = rows[0][2] if rows else []
    if columns and not header:
        raise DataError(f"{path}: is empty; {how_to_get}")
    if absent := [column for column in columns if column not in header]:
        remedy = header_hint(header, absent[0], text.partition("\n")[0])
        raise DataError(f"{path}: column '{absent[0]}' is missing (found: {first_of(header)}); {remedy}")
    if twice := [column for column in (*columns, *optional) if header.count(column) > 1]:
        raise DataError(f"{path}: column '{twice[0]}' is there twice in the first line; rename or delete one of them")
    for begin, line, row in rows[1:]:
        if any(swallowed_row(cell, len(header)) for cell in row if "\n" in cell or "\r" in cell):
            raise DataError(
                f"{path}, line {begin}: a quote opens in this row and takes in others up to line {line}; close it, or "
                "delete it"
            )
        if len(row) > len(header):
            raise DataError(
                f"{path}, line {line}: has more cells than the header; put text that holds commas in double quotes"
            )
    if len(rows) > 1 and len(rows[-1][2]) < len(header) and not text.endswith(("\n", "\r")):
        raise DataError(f"{path}, line {rows[-1][1]}: the file ends in the middle of this row; get it again, whole")
    return [
        (line, dict(zip(header, [*row, *[""] * (len(header) - len(row))], strict=True))) for _, line, row in rows[1:]
    ]


def read_header(path: Path, encoding: str, how_to_get: str) -> list[str]:
    """The columns of a csv file; none of an empty one.

    Raises:
        DataError: no such file, another encoding, or no csv file.
    """
    rows = _rows(path, read_text(path, how_to_get, encoding))
    return rows[0][2] if rows else []


def _rows(path: Path, text: str) -> list[tuple[int, int, list[str]]]:
    """First line, last line and cells of each row that is not empty."""
    rows: list[tuple[int, int, list[str]]] = []
    end = 0
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if row:
                rows.append((end + 1, reader.line_num, row))
            end = reader.line_num
    except csv.Error as error:
        remedy = separator_hint(text.partition("\n")[0]) or "fix its quotes, or get the file again"
        raise DataError(f"{path}, line {end + 1}: is not a csv file ({error}); {remedy}") from error
    return rows
