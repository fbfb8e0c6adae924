"""DTU's files of captions with their order reversed or their temporal words replaced (Clotho, AudioCaps, SynCaps).

Oncescu, Henriques and Koepke 2024, "Dissecting temporal understanding in text-to-audio retrieval".
"""

import re
from collections.abc import Sequence
from pathlib import Path

from common.errors import DataError
from datamodules.twins.json_entries import caption_of, read_entries, text_of
from datamodules.twins.recordings import find_recordings, recording_name
from datamodules.twins.twin_set import CaptionVariants

CAPTION = re.compile(r"caption(?:_(\d+))?")
HOW_TO_GET = "get a json file of DTU: {data: [{caption_1, ..., audio}]}"


def read_dtu(original: Path, changed: Sequence[Path], audio: Path) -> CaptionVariants:
    """The captions of a file, and what the files of its twins make of them, for the recordings that are in a folder.

    Args:
        original: json `{data: [{caption_1, ..., caption_5, audio, ...}]}`, or with one `caption` (SynCaps).
        changed: files in the same layout, such as `..._reverse.json` and `..._replace.json`; a change is called by the
            words that its file's name has and the original's has not.
        audio: folder of the recordings; they are looked for under the last part of `audio`.

    Raises:
        DataError: what `read_entries` raises, an entry without captions, a recording that comes twice or is missing in
            a changed file, a caption that is missing there, or no recording.
    """
    captions = read_captions(original)
    found = find_recordings(audio, list(captions), original)
    places = [(name, column) for name in found for column in captions[name][1]]
    rows = {name: row for row, name in enumerate(found)}
    variants = {}
    for path in changed:
        others = read_captions(path)
        for name, column in places:
            if name not in others:
                raise DataError(f"{path}: has no entry of '{name}', as {original} has; give the twin of that file")
            where, cells = others[name]
            if column not in cells:
                raise DataError(f"{where}: column '{column}' is missing, as {original.name} has it; get the file again")
        variants[change_name(original, path)] = [others[name][1][column] for name, column in places]
    if len(variants) < len(changed):
        raise DataError(f"{changed[-1]}: is called like another changed file; rename it, such as ..._reverse.json")
    texts = [captions[name][1][column] for name, column in places]
    return CaptionVariants(list(found.values()), texts, [rows[name] for name, _ in places], variants)


def read_captions(path: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Where each recording's entry stands, and its captions by column, by the recording's file name.

    Raises:
        DataError: as `read_dtu`, for one file.
    """
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for entry in read_entries(path, "data", HOW_TO_GET):
        where, cells = entry
        name = recording_name(where, "audio", text_of(entry, "audio"))
        if name in found:
            raise DataError(f"{where}: column 'audio' names '{name}' again; delete one of the entries")
        columns = sorted(filter(CAPTION.fullmatch, cells), key=lambda column: (len(column), column))
        if not columns:
            raise DataError(f"{where}: column 'caption' or 'caption_1' is missing; fix or delete the entry")
        found[name] = where, {column: caption_of(where, column, cells[column]) for column in columns}
    return found


def change_name(original: Path, changed: Path) -> str:
    """What a changed file is called beside its original.

    >>> change_name(Path("test_future_past_5captions.json"), Path("test_future_past_replace_5captions.json"))
    'replace'
    """
    words = [word for word in changed.stem.split("_") if word not in original.stem.split("_")]
    return "_".join(words) or changed.stem
