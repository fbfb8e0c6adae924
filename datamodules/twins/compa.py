"""CompA-order and CompA-attribute: pairs of recordings whose captions hold the same words in another arrangement.

Ghosh et al. 2024, "CompA: addressing the gap in compositional reasoning in audio-language models".
"""

import logging
from pathlib import Path

from common.errors import DataError
from datamodules.csv_files import read_csv
from datamodules.twins.json_entries import caption_of
from datamodules.twins.recordings import find_recordings, recording_name
from datamodules.twins.twin_set import Twin, TwinSet

log = logging.getLogger(__name__)

COLUMNS = ("pair_file", "pair_caption", "reversed_pair_file", "reversed_pair_caption")
HOW_TO_GET = "get CompA's benchmark csv, with the columns " + ", ".join(COLUMNS)


def read_compa(path: Path, audio: Path) -> TwinSet:
    """The pairs of a csv file whose recordings are both in a folder, each once; further columns are not read.

    Args:
        path: csv with the columns `pair_file`, `pair_caption`, `reversed_pair_file`, `reversed_pair_caption`.
        audio: folder of the recordings.

    Raises:
        DataError: what `read_csv` raises, a cell that cannot be used, a pair of one file, no pair whose
            recordings are both there, or none whose captions differ.
    """
    rows: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}
    again: list[int] = []
    for line, row in read_csv(path, COLUMNS, "utf-8-sig", HOW_TO_GET):
        where = f"{path}, line {line}"
        files = [recording_name(where, column, row[column]) for column in COLUMNS[::2]]
        captions = [caption_of(where, column, row[column]) for column in COLUMNS[1::2]]
        if files[0] == files[1]:
            raise DataError(f"{where}: column 'reversed_pair_file' names '{files[0]}' too; give the twin's recording")
        if rows.setdefault((tuple(files), tuple(captions)), line) != line:
            again.append(line)
    if again:
        log.warning("%s, line %d: this pair is there already; %d such rows are passed over", path, again[0], len(again))
    if not rows:
        raise DataError(f"{path}: holds no pairs; {HOW_TO_GET}")
    found = find_recordings(audio, [name for files, _ in rows for name in files], path)
    place = {name: row for row, name in enumerate(found)}
    both = [(files, captions) for files, captions in rows if {*files} <= {*found}]
    if not both:
        raise DataError(
            f"{audio}: holds both recordings of none of the pairs of {path}; give the folder of that data set"
        )
    twins = [
        Twin(captions[0], captions[1], place[files[0]], place[files[1]])
        for files, captions in both
        if captions[0] != captions[1]
    ]
    return TwinSet(path.stem, list(found.values()), twins, len(both) - len(twins))
