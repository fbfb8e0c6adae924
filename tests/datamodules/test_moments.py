"""The jsonl layout of moments: what is read, and what is refused by file, line and key."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import DataError
from datamodules.moments import audio_of, read_moments

CASTELLA = [
    {"qid": "ab-1_1", "query": "A car horn blares", "duration": 299, "vid": "ab-1",
     "relevant_windows": [[289, 290], [27, 28], [299, 301]]},
    {"qid": "ab-1_2", "query": " A phone beeps ", "duration": 299, "vid": "ab-1", "relevant_windows": [[72, 76]]},
]  # fmt: skip
CLOTHO_MOMENT = [
    {"qid": 37612, "query": "water splashes", "duration": 60, "vid": "Wildlife_0.0_60.0",
     "relevant_windows": [[2.5, 27.5]], "fg_dB": -2.089},
]  # fmt: skip


def written(folder: Path, *lines: Any, name: str = "some.jsonl") -> Path:
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_castella_is_read(tmp_path: Path) -> None:
    first, second = read_moments(written(tmp_path, CASTELLA[0], "", CASTELLA[1]))
    assert (first.qid, first.query, first.duration, first.vid) == ("ab-1_1", "A car horn blares", 299.0, "ab-1")
    assert first.windows.dtype == np.float64
    assert first.windows.tolist() == [[289, 290], [27, 28], [299, 301]]  # up to 2 s beyond whole seconds
    assert (second.query, second.windows.tolist(), second.fg_db) == ("A phone beeps", [[72, 76]], None)


def test_clotho_moment_is_read(tmp_path: Path) -> None:
    (moment,) = read_moments(written(tmp_path, *CLOTHO_MOMENT))
    assert (moment.qid, moment.vid, moment.fg_db) == (37612, "Wildlife_0.0_60.0", -2.089)


def with_value(**values: Any) -> dict[str, Any]:
    return {**CASTELLA[1], **values}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: is not JSON ("),
        ("[1]", "line 2: is no object {...}; fix or delete the line"),
        ('{"qid": 1, "qid": 2}', "line 2: is not JSON (the key qid twice)"),
        ({"qid": 1}, "line 2: key 'query' is missing (found: qid); add it, or get the file again"),
        (with_value(qid="ab-1_1"), "line 2: qid 'ab-1_1' is there already (line 1); give each query a qid of its own"),
        (with_value(qid=None), "line 2: qid is None; give a whole number or a text"),
        (with_value(qid="\ud800"), "line 2: qid is not UTF-8; give each query a qid of its own"),
        (with_value(qid=" "), "line 2: qid is empty; give each query a qid of its own"),
        (with_value(qid=True), "line 2: qid is True; give a whole number or a text"),
        (with_value(query=" "), "line 2: query is empty; correct it"),
        (with_value(query=3), "line 2: query is no text; correct it"),
        (with_value(vid=""), "line 2: vid is empty; correct it"),
        (with_value(duration=0), "line 2: duration is 0; give the recording's length in s"),
        (with_value(duration="299"), "line 2: duration holds '299'; give a finite number"),
        (with_value(duration=float("nan")), "line 2: duration holds nan; give a finite number"),
        (with_value(duration=10**400), "line 2: duration holds 1000"),
        (with_value(duration=298), "line 2: duration of 'ab-1' is 298 here and 299 before; correct one of them"),
        (with_value(fg_dB="loud"), "line 2: fg_dB holds 'loud'; give a finite number"),
        (with_value(relevant_windows=[]), "line 2: relevant_windows is []; give a list of [start, end] in s"),
        (with_value(relevant_windows=7), "line 2: relevant_windows is 7; give a list of [start, end] in s"),
        (with_value(relevant_windows=[[1, 2, 3]]), "line 2: relevant_windows holds [1, 2, 3]; give [start, end] in s"),
        (with_value(relevant_windows=[[1, None]]), "line 2: relevant_windows holds None; give a finite number"),
        (with_value(relevant_windows=[[1, float("nan")]]), "line 2: relevant_windows holds nan; give a finite number"),
        (with_value(relevant_windows=[[5, 5]]), "line 2: relevant_windows holds [5, 5], which ends before it lasts"),
        (with_value(relevant_windows=[[8, 5]]), "line 2: relevant_windows holds [8, 5], which ends before it lasts"),
        (
            with_value(relevant_windows=[[1, 2], [299, 4800]]),
            "line 2: relevant_windows holds [299, 4800], outside the recording of 299 s; correct the window, or delete",
        ),
        (with_value(relevant_windows=[[-1, 2]]), "line 2: relevant_windows holds [-1, 2], outside the recording"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: Any, message: str) -> None:
    path = written(tmp_path, CASTELLA[0], line)
    with pytest.raises(DataError) as caught:
        read_moments(path)
    assert str(caught.value).startswith(f"{path}, {message}")
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.jsonl: no such file; the files of CASTELLA and Clotho-Moment are in"):
        read_moments(tmp_path / "nowhere.jsonl")
    with pytest.raises(DataError, match=r"some.json: is not called .jsonl; give a file with one query a line"):
        read_moments(written(tmp_path, *CASTELLA, name="some.json"))
    with pytest.raises(DataError, match=r"some.jsonl: holds no rows"):
        read_moments(written(tmp_path))


def test_recordings_are_found_by_their_names(tmp_path: Path) -> None:
    moments = [*read_moments(written(tmp_path, *CASTELLA)), *read_moments(written(tmp_path, *CLOTHO_MOMENT))]
    audio = tmp_path / "audio"
    with pytest.raises(DataError, match=r"audio: no such folder; give the folder of the annotated recordings"):
        audio_of(moments, audio)
    (audio / "deep").mkdir(parents=True)
    with pytest.raises(DataError, match=r"audio: holds none of the 2 annotated recordings \(ab-1, Wildlife_0.0_60.0\)"):
        audio_of(moments, audio)
    for name in ("deep/Wildlife_0.0_60.0.wav", "other.wav"):
        (audio / name).touch()
    found, missing = audio_of(moments, audio)
    assert found == {"Wildlife_0.0_60.0": audio / "deep" / "Wildlife_0.0_60.0.wav"}
    assert missing == ["ab-1"]
