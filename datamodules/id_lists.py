"""Lists of recording ids that cut a data set into the subsets and splits of a paper."""

import csv
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import DataError
from common.text import given_twice
from common.unique_keys import parse_json
from datamodules.annotated import Annotation
from datamodules.csv_files import read_csv, read_text
from datamodules.origins import origin_of

log = logging.getLogger(__name__)


def find_list(folder: Path, names: Sequence[str], how_to_get: str) -> Path:
    """The first file of these names in a folder.

    Raises:
        DataError: there is none.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder / names[0]}: no such list of ids; {how_to_get}")


def read_ids(path: Path) -> list[str]:
    """Ids of a list: of a text file one a line, of a JSON file `data[].id`, such as `ID_BEGIN_END.flac`, as `ID_BEGIN`.

    Raises:
        DataError: it cannot be read, is empty, or has an id twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            ids = [re.sub(r"(_\d+)?\.(flac|wav)$", "", str(entry["id"])) for entry in parse_json(text)["data"]]
        else:
            ids = [line.strip() for line in text.splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such list of ids; check the path") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is no list of ids ({type(error).__name__}: {error}); get the file again") from error
    if not ids:
        raise DataError(f"{path}: holds no ids; get the file again")
    if (twice := given_twice(ids)) is not None:
        raise DataError(f"{path}: id '{twice}' comes twice; delete one of the lines")
    return ids


def selected(annotations: Sequence[Annotation], path: Path, ids_of: Callable[[str], Sequence[str]]) -> list[Annotation]:
    """The annotations that a list names, in their own order; ids that none has are named in a warning.

    Args:
        annotations: of a split.
        path: of the list.
        ids_of: what lists may call a recording.

    Raises:
        DataError: the list cannot be read, or names none of them.
    """
    wanted = set(read_ids(path))
    found = [(row, name) for row in annotations if (name := next(filter(wanted.__contains__, ids_of(row.name)), None))]
    if not found:
        raise DataError(
            f"{path}: names none of the {len(annotations)} recordings (for instance '{min(wanted)}'; one of theirs is "
            f"'{annotations[0].name}'); give the list of this data set"
        )
    if absent := sorted(wanted - {name for _, name in found}):
        log.warning("%s: %d of %d ids have no captions: %s", path, len(absent), len(wanted), ", ".join(absent[:5]))
    return [row for row, _ in found]


@dataclass(frozen=True)
class IdFile:
    """A file of ids.

    Args:
        file: a csv file, or a text file with an id a line.
        column: of the csv file; None: what stands before the first comma of each line, as in a csv without a header.
    """

    file: str
    column: str | None = None


def origins_in(files: Sequence[IdFile], source: str) -> set[str]:
    """The origins that files of ids at a source name, such as {"youtube:r1nicOVtvkQ"}.

    Raises:
        DataError: a file is not there, has no such column, or holds no ids.
    """
    found: set[str] = set()
    for each in files:
        path = Path(each.file).expanduser()
        how_to_get = "get it, or take it out of data.exclude"
        if each.column is not None:
            ids = [row[each.column] for _, row in read_csv(path, (each.column,), "utf-8-sig", how_to_get)]
        else:
            ids = [row[0] for row in csv.reader(read_text(path, how_to_get).splitlines()) if row]
        origins = {origin_of(source, text) for text in ids if text.strip()}
        if not origins:
            raise DataError(f"{path}: holds no ids; get the file again")
        found |= origins
    return found
