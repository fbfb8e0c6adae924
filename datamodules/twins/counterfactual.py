"""Counterfactual captions of Clotho, AudioCaps and MACS: the same sentence about other sources of sound.

Vosoughi et al. 2024, "Learning audio concepts from counterfactual natural language".
"""

from pathlib import Path

from common.errors import DataError
from datamodules.twins.json_entries import caption_of, read_entries, text_of, value_of
from datamodules.twins.recordings import find_recordings, recording_name
from datamodules.twins.twin_set import Twin, TwinSet

CAPTIONS = ("captions", "captions_counterfactual")
HOW_TO_GET = "get a json file of counterfactual captions: a list of {path, captions, captions_counterfactual, ...}"


def read_counterfactual(path: Path, audio: Path) -> TwinSet:
    """Captions and their counterfactuals, of the recordings that are in a folder; they have no twin recordings.

    A counterfactual without words is left out: the published files hold "." where none was written.

    Args:
        path: json list of `{path, captions: [...], captions_counterfactual: [...], ...}`.
        audio: folder of the recordings.

    Raises:
        DataError: what `read_entries` raises, a column that is missing or holds something else, unequal numbers of
            captions, a recording that comes twice, or none that is there. The published file of Clotho's validation
            split repeats the captions as counterfactuals, so it has no twins and is refused.
    """
    described: dict[str, list[tuple[str, str]]] = {}
    for entry in read_entries(path, None, HOW_TO_GET):
        where = entry[0]
        name = recording_name(where, "path", text_of(entry, "path"))
        if name in described:
            raise DataError(f"{where}: column 'path' names '{name}' again; delete one of the entries")
        lists = []
        for column in CAPTIONS:
            values = value_of(entry, column)
            if not isinstance(values, list):
                raise DataError(f"{where}: column '{column}' holds {type(values).__name__}, no list; fix the entry")
            lists.append([_text(where, f"{column}[{i}]", value) for i, value in enumerate(values)])
        if len(lists[0]) != len(lists[1]):
            raise DataError(
                f"{where}: column '{CAPTIONS[1]}' has {len(lists[1])} captions beside {len(lists[0])}; give one for "
                "each caption"
            )
        described[name] = list(zip(*lists, strict=True))
    found = find_recordings(audio, list(described), path)
    pairs = [(row, *pair) for row, name in enumerate(found) for pair in described[name]]
    twins = [Twin(caption, other, row) for row, caption, other in pairs if other not in ("", caption)]
    return TwinSet(path.stem, list(found.values()), twins, len(pairs) - len(twins))


def _text(where: str, column: str, value: object) -> str:
    """A caption; a counterfactual is empty where it has no words."""
    if column.startswith(CAPTIONS[1]) and isinstance(value, str) and not any(map(str.isalnum, value)):
        return ""
    return caption_of(where, column, value)
