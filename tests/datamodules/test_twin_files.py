"""Published files of twins: read as written, or refused by their place in the file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datamodules.twins.compa import read_compa
from datamodules.twins.counterfactual import read_counterfactual
from datamodules.twins.dtu import change_name, read_dtu
from datamodules.twins.twin_set import Twin, TwinSet
from tests.support.twins import (
    COMPA,
    COUNTERFACTUAL,
    DTU,
    dtu_with,
    reversed_dtu,
    write_compa,
    write_json,
    write_sounds,
)

Refused = Callable[[Callable[[], object]], str]


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    names = ("ab.wav", "ba.wav", "deep/cd.wav", "dc.flac", "rain on a roof.wav", "dog.flac")
    return write_sounds(tmp_path / "audio", *names, "Yabcdefghijk.wav", "-bcdefghij__0.flac")


def files(twins: TwinSet) -> list[str]:
    return [each.name for each in twins.recordings if isinstance(each, Path)]


def test_compa_is_read_as_written(tmp_path: Path, audio: Path) -> None:
    twins = read_compa(write_compa(tmp_path / "CompA_order_benchmark.csv"), audio)
    assert (twins.name, twins.left_out, twins.has_twin_recordings) == ("CompA_order_benchmark", 0, True)
    assert files(twins) == ["ab.wav", "ba.wav", "cd.wav", "dc.flac"]
    assert twins.twins[0] == Twin("A dog barks, then rain falls.", "Rain falls, then a dog barks.", 0, 1)
    assert twins.twins[1] == Twin("A bell before a cat", "A cat before a bell", 2, 3)


def test_pairs_without_their_recordings_are_left_out(
    tmp_path: Path, audio: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_compa(tmp_path / "pairs.csv", [*COMPA, (2, "ab.wav", "A", "gone.wav", "B", "-", "-")])
    assert len(read_compa(path, audio).twins) == 2
    assert "1 of the 5 recordings" in caplog.text
    assert "'gone.wav'" in caplog.text


def test_a_pair_that_comes_again_counts_once(tmp_path: Path, audio: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_compa(tmp_path / "pairs.csv", [*COMPA, COMPA[2], COMPA[1]])
    assert len(read_compa(path, audio).twins) == 2
    assert f"{path}, line 4: this pair is there already; 2 such rows are passed over" in caplog.text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((2, "", "A", "b.wav", "B", "-", "-"), "line 4: column 'pair_file' is empty; give the recording's file name"),
        ((2, "a.wav", " ", "b.wav", "B", "-", "-"), "line 4: column 'pair_caption' holds no text"),
        ((2, "a.wav", "A", "b.wav", "-", "-", "-"), "line 4: column 'reversed_pair_caption' holds no words"),
        ((2, "a.wav", "A", "b.wav", "#N/A", "-", "-"), "column 'reversed_pair_caption' is '#N/A', as programs write"),
        ((2, "a.wav", "A", "x/a.wav", "B", "-", "-"), "line 4: column 'reversed_pair_file' names 'a.wav' too"),
        ((2, "a.wav", "A", "..", "B", "-", "-"), "line 4: column 'reversed_pair_file' is not a plain name"),
    ],
)
def test_bad_rows_of_compa_are_refused(
    tmp_path: Path, audio: Path, refused: Refused, row: tuple[Any, ...], message: str
) -> None:
    path = write_compa(tmp_path / "pairs.csv", [*COMPA, row])
    said = refused(lambda: read_compa(path, audio))
    assert said.startswith(str(path))
    assert message in said


def test_other_csv_files_are_refused(tmp_path: Path, audio: Path, refused: Refused) -> None:
    path = write_compa(tmp_path / "pairs.csv", [COMPA[0][:4]])
    assert "column 'reversed_pair_caption' is missing (found: , pair_file" in refused(lambda: read_compa(path, audio))
    path = write_compa(path, [(*COMPA[0][:5], "pair_file")])  # as one published copy has it
    assert "column 'pair_file' is there twice in the first line" in refused(lambda: read_compa(path, audio))
    path = write_compa(path, COMPA[:1])
    assert "holds no pairs" in refused(lambda: read_compa(path, audio))
    path = write_compa(path, [COMPA[0], (0, "ab.wav", "A dog", "ba.wav", "A dog", "-", "-")])
    assert "no caption differs from its twin" in refused(lambda: read_compa(path, audio))


def test_recordings_are_looked_for_where_they_may_be(tmp_path: Path, audio: Path, refused: Refused) -> None:
    path = write_compa(tmp_path / "pairs.csv")
    assert "no such folder; give the one with" in refused(lambda: read_compa(path, tmp_path / "gone"))
    write_sounds(tmp_path / "other", "x.wav")
    assert "holds none of the 4 recordings" in refused(lambda: read_compa(path, tmp_path / "other"))
    write_sounds(tmp_path / "other", "ab.wav", "cd.wav")
    assert f"holds both recordings of none of the pairs of {path}" in refused(
        lambda: read_compa(path, tmp_path / "other")
    )


def test_dtu_is_read_as_written(tmp_path: Path, audio: Path) -> None:
    original = write_json(tmp_path / "test_future_past.json", dtu_with(0))
    changed = write_json(tmp_path / "test_future_past_reverse.json", reversed_dtu())
    read = read_dtu(original, [changed], audio)
    assert [each.name for each in read.recordings if isinstance(each, Path)] == [
        "Yabcdefghijk.wav",
        "-bcdefghij__0.flac",
    ]
    assert read.captions == [
        "A dog barks followed by rain",
        "Rain after a dog",
        "A bell and a cat",
        "A bell before a cat.",
    ]
    assert read.caption_audio == [0, 0, 1, 1]
    (twins,) = read.twin_sets()
    assert (twins.name, twins.left_out) == ("reverse", 1)
    assert [(twin.twin_caption, twin.audio) for twin in twins.twins] == [
        ("Rain followed by a dog barks", 0),
        ("A dog after rain", 0),
        ("A cat before a bell.", 1),
    ]


def test_syncaps_has_one_caption_and_its_order_of_entries_does_not_matter(tmp_path: Path, audio: Path) -> None:
    entries: list[dict[str, Any]] = [
        {"caption": f"{name} then rain", "audio": f"/a/{name}.wav", "duration": 10.0} for name in ("ab", "ba")
    ]
    other = [{**entry, "caption": f"Rain then {entry['caption'][:2]}"} for entry in reversed(entries)]
    paths = [write_json(tmp_path / f"{name}.json", {"data": e}) for name, e in (("test", entries), ("test_r", other))]
    read = read_dtu(paths[0], paths[1:], audio)
    assert read.variants == {"r": ["Rain then ab", "Rain then ba"]}


@pytest.mark.parametrize(
    ("original", "changed", "name"),
    [
        ("test_audioset_5_future_past", "test_audioset_5_future_past_replace", "replace"),
        ("test_future_past_5captions", "test_future_past_reverse_5captions", "reverse"),
        ("test", "test_replaced", "replaced"),
        ("test", "test", "test"),
    ],
)
def test_changes_are_called_by_their_files(original: str, changed: str, name: str) -> None:
    assert change_name(Path(f"{original}.json"), Path(f"{changed}.json")) == name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "is not JSON (Expecting value"),
        ([1], "has no key 'data' (found: none)"),
        ({"rows": []}, "has no key 'data' (found: rows)"),
        ({"data": []}, "holds no rows"),
        ({"data": ["a"]}, "entry 1: is no object with columns"),
        (dtu_with(1, audio=None), "entry 2: column 'audio' is missing (found: caption_1, caption_2, id, duration)"),
        (dtu_with(1, audio=7), "entry 2: column 'audio' holds int, no text"),
        (dtu_with(1, audio="/"), "entry 2: column 'audio' is not a plain name"),
        (dtu_with(1, audio=DTU[0]["audio"]), "entry 2: column 'audio' names 'abcdefghijk_30000_40000"),
        (dtu_with(1, caption_1=None, caption_2=None), "entry 2: column 'caption' or 'caption_1' is missing"),
        (dtu_with(1, caption_2="  "), "entry 2: column 'caption_2' holds no text"),
        (dtu_with(1, caption_2=["A bell"]), "entry 2: column 'caption_2' holds no text"),
        (dtu_with(1, caption_2="A bell \ud800"), "entry 2: column 'caption_2' is not UTF-8; give a caption there"),
    ],
)
def test_bad_files_of_dtu_are_refused(
    tmp_path: Path, audio: Path, refused: Refused, content: Any, message: str
) -> None:
    path = write_json(tmp_path / "test.json", content)
    if content == "[":
        path.write_text("[")
    said = refused(lambda: read_dtu(path, [path], audio))
    assert said.startswith(str(path))
    assert message in said


def test_a_changed_file_must_be_of_the_same_recordings_and_captions(
    tmp_path: Path, audio: Path, refused: Refused
) -> None:
    original = write_json(tmp_path / "test.json", dtu_with(0))
    other = write_json(tmp_path / "test_reverse.json", {"data": dtu_with(0)["data"][:1]})
    assert "has no entry of '-bcdefghij__0_8000.flac'" in refused(lambda: read_dtu(original, [other], audio))
    other = write_json(other, dtu_with(1, caption_2=None))
    said = refused(lambda: read_dtu(original, [other], audio))
    assert said.startswith(f"{other}, entry 2: column 'caption_2' is missing, as test.json has it")
    other = write_json(other, reversed_dtu())
    assert "rename it" in refused(lambda: read_dtu(original, [other, other], audio))


def test_counterfactual_captions_are_read_as_written(tmp_path: Path, audio: Path) -> None:
    twins = read_counterfactual(write_json(tmp_path / "clotho-development.json", COUNTERFACTUAL), audio)
    assert (twins.name, twins.left_out, twins.has_twin_recordings) == ("clotho-development", 1, False)
    assert files(twins) == ["rain on a roof.wav", "dog.flac"]
    assert twins.twins == [
        Twin("Rain falls on a roof.", "Gravel falls on a roof.", 0),
        Twin("A dog barks.", "A seal barks.", 1),
    ]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"captions": ["."]}, "entry 2: column 'captions[0]' holds no words"),
        ({"path": ""}, "entry 2: column 'path' is empty"),
        ({"path": "other/rain on a roof.wav"}, "entry 2: column 'path' names 'rain on a roof.wav' again"),
        ({"captions": "A dog barks."}, "entry 2: column 'captions' holds str, no list"),
        ({"captions": ["A dog.", "A"]}, "entry 2: column 'captions_counterfactual' has 1 captions beside 2"),
        ({"captions": [None]}, "entry 2: column 'captions[0]' holds no text"),
        (
            {"captions_counterfactual": ["n/a"]},
            "entry 2: column 'captions_counterfactual[0]' is 'n/a', as programs write",
        ),
    ],
)
def test_bad_counterfactual_captions_are_refused(
    tmp_path: Path, audio: Path, refused: Refused, cells: dict[str, Any], message: str
) -> None:
    path = write_json(tmp_path / "captions.json", [COUNTERFACTUAL[0], {**COUNTERFACTUAL[1], **cells}])
    said = refused(lambda: read_counterfactual(path, audio))
    assert said.startswith(str(path))
    assert message in said


def test_a_counterfactual_without_words_is_none(tmp_path: Path, audio: Path) -> None:
    content = [COUNTERFACTUAL[0], {**COUNTERFACTUAL[1], "captions_counterfactual": ["."]}]
    twins = read_counterfactual(write_json(tmp_path / "macs.json", content), audio)
    assert (len(twins.twins), twins.left_out) == (1, 2)


def test_a_file_that_repeats_its_captions_has_no_twins(tmp_path: Path, audio: Path, refused: Refused) -> None:
    same = [{**entry, "captions_counterfactual": entry["captions"]} for entry in COUNTERFACTUAL]
    path = write_json(tmp_path / "clotho-validation.json", same)
    assert "clotho-validation: no caption differs" in refused(lambda: read_counterfactual(path, audio))
    without = [{k: v for k, v in entry.items() if k != "captions_counterfactual"} for entry in COUNTERFACTUAL]
    path = write_json(path, without)
    assert "entry 1: column 'captions_counterfactual' is missing" in refused(lambda: read_counterfactual(path, audio))
