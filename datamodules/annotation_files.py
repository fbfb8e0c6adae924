"""Rows of an annotation file of any layout: csv, json, jsonl or yaml, and cells found in them by a dotted path."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common.errors import DataError
from common.text import first_of, nearest_name, one_line
from common.unique_keys import parse_json, parse_yaml
from datamodules.csv_files import read_csv, read_text

Row = tuple[str, dict[str, Any]]
"""Where a row stands, for messages ("FILE, line 3"), and its cells."""


def read_rows(path: Path, columns: Sequence[str], rows: str | None, how_to_get: str) -> list[Row]:
    """The rows of an annotation file, by its ending: .csv, .json, .jsonl, .yaml or .yml.

    Args:
        path: the file; csv is UTF-8 with a header.
        columns: those that are asked for; a csv file must have them, in other files `cells` looks each up.
        rows: dotted path to the list of rows in a json or yaml file; None: the file is that list, or a table by key,
            whose keys become the column "key".
        how_to_get: the remedy where there is no such file.

    Raises:
        DataError: no such file, another ending, another format than the ending says, or no list of rows in it.
    """
    readers: dict[str, Callable[[], list[Row]]] = {
        ".csv": lambda: [
            (f"{path}, line {line}", row) for line, row in read_csv(path, columns, "utf-8-sig", how_to_get)
        ],
        ".jsonl": lambda: list(_read_lines(path, read_text(path, how_to_get))),
        ".json": lambda: listed(path, read_json(path, how_to_get), rows),
        ".yaml": lambda: listed(path, _parsed(path, "YAML", parse_yaml, how_to_get), rows),
    }
    ending = path.suffix.lower().replace(".yml", ".yaml")
    if ending not in readers:
        raise DataError(f"{path}: is not called .csv, .json, .jsonl or .yaml; save it as one of them")
    found = readers[ending]()
    if not found:
        raise DataError(f"{path}: holds no rows; {how_to_get}")
    return found


def cells(row: Row, column: str) -> list[str]:
    """The texts at a dotted path in a row, without blanks at the ends: none where empty, several where it is of a list.

    Raises:
        DataError: the row has no such column, or it holds no text.

    >>> cells(("", {"annotations": [{"sentence": "A dog."}, {"sentence": "Rain "}]}), "annotations.sentence")
    ['A dog.', 'Rain']
    """
    where, found = row
    values: list[Any] = [found]
    names = [column] if column in found else column.split(".")
    for name in names:
        deeper: list[Any] = []
        for value in values:
            if not isinstance(value, dict) or name not in value:
                known = list(value) if isinstance(value, dict) else []
                there = first_of(map(str, known))
                raise DataError(
                    f"{where}: column '{column}' is missing (found: {there})"
                    f"{nearest_name(name, map(str, known))}; name another in data.columns"
                )
            inner = value[name]
            deeper += inner if isinstance(inner, list) else [inner]
        values = deeper
    if bad := [value for value in values if isinstance(value, dict | list | bool)]:
        raise DataError(f"{where}: column '{column}' holds {type(bad[0]).__name__}, no text; name what is inside it")
    return [text for value in values if value is not None and (text := str(value).strip())]


def read_json(path: Path, how_to_get: str) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: no such file, or it is not JSON.
    """
    return _parsed(path, "JSON", parse_json, how_to_get)


def _parsed(path: Path, kind: str, parse: Callable[[str], Any], how_to_get: str) -> Any:
    text = read_text(path, how_to_get)
    try:
        return parse(text)
    except ValueError as error:
        raise DataError(f"{path}: is not {kind} ({one_line(error)[:200]}); get the file again") from error


def _read_lines(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON may hold other line ends in its texts
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise DataError(
                f"{path}, line {number}: is not JSON ({error}); fix the line, or get the file again"
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: is no object {{...}}; fix or delete the line")
        yield f"{path}, line {number}", row


def listed(path: Path, content: Any, rows: str | None, remedy: str | None = None) -> list[Row]:
    """The rows in the content of a file, by the dotted path to their list, as of `read_rows`.

    Raises:
        DataError: there is none; the message ends in the `remedy`, by default one about `data.rows`.
    """
    for name in rows.split(".") if rows else ():
        if not isinstance(content, dict) or name not in content:
            there = first_of(map(str, content if isinstance(content, dict) else ()))
            other = f"change data.rows, now '{rows}'"
            raise DataError(f"{path}: has no key '{name}' (found: {there}); {remedy or other}")
        content = content[name]
    if isinstance(content, dict) and content and all(isinstance(value, dict) for value in content.values()):
        content = [{"key": key, **value} for key, value in content.items()]
    if not isinstance(content, list):
        keys = [key for key, value in content.items() if isinstance(value, list)] if isinstance(content, dict) else []
        other = f"set data.rows, perhaps to '{keys[0]}'" if keys else "see docs/data.md for the layouts that are read"
        raise DataError(f"{path}: holds no list of rows; {remedy or other}")
    for number, row in enumerate(content, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}, entry {number}: is no object with columns; fix or delete the entry")
    return [(f"{path}, entry {number}", row) for number, row in enumerate(content, 1)]
