"""The recordings that a file of twins names, looked for in a folder of one's own."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from common.errors import DataError
from datamodules.audio_folder import audio_by_stem
from datamodules.csv_faults import id_fault
from datamodules.file_names import plain_form

log = logging.getLogger(__name__)

IN_MILLISECONDS = re.compile(r"(.{11})_(\d+)_\d+")
"""AudioSet clips by their YouTube id, begin and end, as DTU calls them."""


def recording_name(where: str, column: str, text: str) -> str:
    """The last part of a path, under which a recording is looked for: published files hold their makers' folders.

    Raises:
        DataError: it is empty, or is no file name.
    """
    name = PurePosixPath(text.strip()).name
    fault = "is empty" if not text.strip() else id_fault(name) if name else "is not a plain name"
    if fault:
        raise DataError(f"{where}: column '{column}' {fault}; give the recording's file name, or delete the entry")
    return name


def find_recordings(folder: Path, names: Sequence[str], source: Path) -> dict[str, Path]:
    """The files of the names that are there, at any depth below `folder`, whatever their ending.

    A clip `{youtube_id}_{begin}_{end}` in ms is also found as `{youtube_id}_{begin in s}` or `{youtube_id}`, and each
    with a Y before it. How many are missing is said in a warning.

    Raises:
        DataError: there is no such folder, or none of the recordings in it.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the one with the recordings of {source.name}")
    files = {plain_form(stem): path for stem, path in audio_by_stem(folder).items()}
    found = {}
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if stem := next((stem for stem in map(plain_form, _stems(name)) if stem in files), None):
            found[name] = files[stem]
    missing = [name for name in wanted if name not in found]
    if not found:
        raise DataError(
            f"{folder}: holds none of the {len(wanted)} recordings of {source}, such as '{missing[0]}'; give the "
            "folder of that data set"
        )
    if missing:
        log.warning(
            "%s: %d of the %d recordings of %s are missing, such as '%s'; their twins are left out",
            folder,
            len(missing),
            len(wanted),
            source,
            missing[0],
        )
    return found


def _stems(name: str) -> list[str]:
    """What people call the file of a recording, without an ending."""
    stem = PurePosixPath(name).stem
    stems = [stem]
    if clip := IN_MILLISECONDS.fullmatch(stem):
        stems += [f"{clip[1]}_{int(clip[2]) // 1000}", clip[1]]
    return [spelled for each in stems for spelled in (each, f"Y{each}")]
