"""Entries of a published json file, and texts in them, with a one-line message for each mistake they can have."""

from pathlib import Path
from typing import Any

from common.errors import DataError
from common.text import first_of, nearest_name
from datamodules.annotation_files import listed, read_json
from datamodules.csv_faults import caption_fault

Entry = tuple[str, dict[str, Any]]
"""Where an entry stands, for messages ("FILE, entry 3"), and its columns."""


def read_entries(path: Path, key: str | None, how_to_get: str) -> list[Entry]:
    """The entries of a json file that is a list, or has one under a key.

    Raises:
        DataError: no such file, no JSON, no such list, an empty one, or an entry that is no object.
    """
    entries = listed(path, read_json(path, how_to_get), key, how_to_get)
    if not entries:
        raise DataError(f"{path}: holds no rows; {how_to_get}")
    return entries


def value_of(entry: Entry, column: str) -> Any:
    """What an entry has in a column.

    Raises:
        DataError: it has no such column.
    """
    where, found = entry
    if column not in found:
        raise DataError(
            f"{where}: column '{column}' is missing (found: {first_of(found)}){nearest_name(column, found)}; fix or "
            "delete the entry"
        )
    return found[column]


def text_of(entry: Entry, column: str) -> str:
    """The text in a column.

    Raises:
        DataError: there is none.
    """
    value = value_of(entry, column)
    if not isinstance(value, str):
        raise DataError(f"{entry[0]}: column '{column}' holds {type(value).__name__}, no text; fix or delete the entry")
    return value


def caption_of(where: str, column: str, value: Any) -> str:
    """A caption, without blanks at its ends.

    Raises:
        DataError: it is no text, or cannot be a caption.
    """
    text = value.strip() if isinstance(value, str) else ""
    fault = "holds no text" if not text else caption_fault(text)
    if fault:
        raise DataError(f"{where}: column '{column}' {fault}; give a caption there, or delete the entry")
    return text
