"""Moments in long recordings: queries with the spans that they describe, in the layout of lighthouse's jsonl files.

CASTELLA (arXiv 2511.15131), Clotho-Moment (arXiv 2409.15672) and UnAV-100's subset have this layout: one query a line
with `qid`, `query`, `duration`, `vid` and `relevant_windows`; Clotho-Moment adds `fg_dB`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.errors import DataError
from common.text import first_of, query_fault
from datamodules.annotation_files import Row, read_rows
from datamodules.audio_folder import audio_by_stem

KEYS = ("qid", "query", "duration", "vid", "relevant_windows")
LARGEST = 1e12
"""Beyond any number of s or dB; NaN is not below it."""
TOLERANCE = 2.0
"""s that a window may reach beyond `duration`: CASTELLA's are whole seconds, and some windows end up to 2 s later."""
HOW_TO_GET = "the files of CASTELLA and Clotho-Moment are in the repository line/lighthouse, folder data"


@dataclass(frozen=True)
class Moment:
    """A query and where in a recording it is heard.

    Attributes:
        qid: number or name of the query, as in the file.
        query: in words.
        duration: of the recording in s, as annotated.
        vid: the recording: its file's name without the ending.
        windows: (W, 2) float64 starts and ends in s, at least one, in the order of the file.
        fg_db: level of the moment beside its background in dB, where the file has it.
    """

    qid: int | str
    query: str
    duration: float
    vid: str
    windows: npt.NDArray[np.float64]
    fg_db: float | None = None


def read_moments(path: Path) -> list[Moment]:
    """The queries of a jsonl file, in its order; other keys are passed over.

    Raises:
        DataError: no such file, or no jsonl; a line that is no JSON object or has a key missing or twice; a qid twice;
            a value of another type, NaN, an empty query, no windows, a window that does not begin before it ends or
            lies outside the recording, or two durations of one recording.
    """
    if path.suffix.lower() != ".jsonl":
        raise DataError(f"{path}: is not called .jsonl; give a file with one query a line; {HOW_TO_GET}")
    moments: list[Moment] = []
    seen: dict[str, str] = {}
    durations: dict[str, float] = {}
    for row in read_rows(path, KEYS, None, HOW_TO_GET):
        where = row[0]
        moment = _moment(row)
        qid = str(moment.qid)  # a program that reads 1 and "1" as one would mix them up
        if qid in seen:
            raise DataError(f"{where}: qid '{qid}' is there already ({seen[qid]}); give each query a qid of its own")
        if durations.setdefault(moment.vid, moment.duration) != moment.duration:
            raise DataError(
                f"{where}: duration of '{moment.vid}' is {moment.duration:g} here and {durations[moment.vid]:g} "
                "before; correct one of them"
            )
        seen[qid] = where.rpartition(", ")[2]
        moments.append(moment)
    return moments


def audio_of(moments: Sequence[Moment], folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The file of each annotated recording in a folder, at any depth, and the recordings that have none.

    Both are in the order in which the moments name them.

    Raises:
        DataError: there is no such folder, or none of the recordings is in it.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}; give the folder of the annotated recordings")
    stems = audio_by_stem(folder)
    vids = list(dict.fromkeys(moment.vid for moment in moments))
    found = {vid: stems[vid] for vid in vids if vid in stems}
    missing = [vid for vid in vids if vid not in stems]
    if not found:
        raise DataError(
            f"{folder}: holds none of the {len(vids)} annotated recordings ({first_of(missing, 3)}); check the path; "
            "files are called like vid, with an ending such as .wav"
        )
    return found, missing


def _moment(row: Row) -> Moment:
    where, cells = row
    for key in KEYS:
        if key not in cells:
            raise DataError(
                f"{where}: key '{key}' is missing (found: {first_of(cells)}); add it, or get the file again"
            )
    qid, query, vid = cells["qid"], cells["query"], cells["vid"]
    if not isinstance(qid, int | str) or isinstance(qid, bool):
        raise DataError(f"{where}: qid is {qid!r}; give a whole number or a text")
    if isinstance(qid, str) and (fault := query_fault(qid)):
        raise DataError(f"{where}: qid {fault}; give each query a qid of its own")
    for key, text in (("query", query), ("vid", vid)):
        if not isinstance(text, str) or (fault := query_fault(text)):
            raise DataError(f"{where}: {key} {'is no text' if not isinstance(text, str) else fault}; correct it")
    duration = _number(where, "duration", cells["duration"])
    if duration <= 0:
        raise DataError(f"{where}: duration is {duration:g}; give the recording's length in s")
    level = cells.get("fg_dB")
    return Moment(
        qid,
        query.strip(),
        duration,
        vid,
        _windows(where, cells["relevant_windows"], duration),
        None if level is None else _number(where, "fg_dB", level),
    )


def _windows(where: str, given: Any, duration: float) -> npt.NDArray[np.float64]:
    key = "relevant_windows"
    if not isinstance(given, list) or not given:
        raise DataError(f"{where}: {key} is {_shown(given)}; give a list of [start, end] in s, at least one")
    windows = []
    for window in given:
        if not isinstance(window, list) or len(window) != 2:
            raise DataError(f"{where}: {key} holds {_shown(window)}; give [start, end] in s")
        start, end = (_number(where, key, value) for value in window)
        if start >= end:
            raise DataError(f"{where}: {key} holds [{start:g}, {end:g}], which ends before it lasts; correct it")
        if start < 0 or end > duration + TOLERANCE:
            raise DataError(
                f"{where}: {key} holds [{start:g}, {end:g}], outside the recording of {duration:g} s; correct the "
                "window, or delete the line"
            )
        windows.append((start, end))
    return np.array(windows, dtype=np.float64)


def _number(where: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST < value < LARGEST:
        raise DataError(f"{where}: {key} holds {_shown(value)}; give a finite number")
    return float(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
