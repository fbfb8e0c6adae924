"""Origins: ids of videos however they are written, and lists of ids as csv files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules.id_lists import IdFile, origins_in
from datamodules.leaks import find_leaks
from datamodules.origins import ListedOrigins, video_id
from tests.support.annotated_layouts import write_csv

Refused = Callable[[Callable[[], object]], str]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("r1nicOVtvkQ", "r1nicOVtvkQ"),
        ("Yr1nicOVtvkQ", "r1nicOVtvkQ"),  # WavCaps and AudioSetCaps
        ("Yr1nicOVtvkQ.wav", "r1nicOVtvkQ"),
        ("Y_7Xe9vD3Hp", "Y_7Xe9vD3Hp"),  # an id that begins with Y
        ("YY_7Xe9vD3Hp", "Y_7Xe9vD3Hp"),
        ("-TL8Mp3xcUM_0_10.mp3", "-TL8Mp3xcUM"),  # AudioSetCaps' VGGSound and YouTube-8M
        ("glLQrEijrKg_000300.mp4", "glLQrEijrKg"),  # VGGSound
        ("_547JTmvb9g_30000_40000", "_547JTmvb9g"),
        ("rain on a roof", "rain on a roof"),
        ("r1nicOVtvkQ and more", "r1nicOVtvkQ and more"),
    ],
)
def test_the_id_of_a_video(text: str, expected: str) -> None:
    assert video_id(text) == expected


def test_a_list_of_ids_takes_part_in_the_search_for_leaks(tmp_path: Path) -> None:
    write_csv(tmp_path / "fsd50k.csv", ("sound_id", "label"), ("12", "dog"), ("Not found", "x"), ("13", "rain"))
    write_csv(tmp_path / "tested.csv", ("freesound_id",), ("13",), ("14",))
    listed, tested = (ListedOrigins(tmp_path / name) for name in ("fsd50k.csv", "tested.csv"))
    assert listed.origins("train") == {"12": "freesound:12", "13": "freesound:13"}
    tested.splits = ("test",)  # type: ignore[misc]
    leaks = find_leaks([("FSD50K", listed), ("ours", tested)])
    assert [(leak.origin, leak.seen, leak.evaluated) for leak in leaks] == [
        ("freesound:13", "FSD50K train", "ours test")
    ]


def test_all_columns_of_ids_are_read_as_spreadsheets_write_them(tmp_path: Path) -> None:
    rows = (("12.0", "Yr1nicOVtvkQ_30"), ("nan", ""), ("", "NaN"))
    write_csv(tmp_path / "a.csv", ("sound_id", "youtube_id"), *rows)
    found = ListedOrigins(tmp_path / "a.csv").origins("train")
    assert sorted(found.values()) == ["freesound:12", "youtube:r1nicOVtvkQ"]


def test_lists_that_hold_no_ids_are_refused(tmp_path: Path, refused: Refused) -> None:
    write_csv(tmp_path / "a.csv", ("id", "label"), ("1", "x"))
    message = refused(lambda: ListedOrigins(tmp_path / "a.csv"))
    assert "a.csv: has no column of ids (found: id, label); call one sound_id, freesound_id, youtube_id" in message
    write_csv(tmp_path / "b.csv", ("youtube_id",), ("not found",))
    assert "b.csv: column 'youtube_id' holds no ids" in refused(lambda: ListedOrigins(tmp_path / "b.csv"))
    write_csv(tmp_path / "b.csv", ("youtube_id",))
    assert "b.csv: column 'youtube_id' holds no ids" in refused(lambda: ListedOrigins(tmp_path / "b.csv"))
    (tmp_path / "b.csv").write_text("")
    assert "b.csv: has no column of ids (found: none)" in refused(lambda: ListedOrigins(tmp_path / "b.csv"))
    write_csv(tmp_path / "c.csv", ("sound_id", "label"), ("1", "x"), ("1E+05", "y"))
    message = refused(lambda: ListedOrigins(tmp_path / "c.csv"))
    assert message.endswith("c.csv, line 3: sound_id '1E+05' was lost in a spreadsheet; give the id, or delete the row")
    write_csv(tmp_path / "d.csv", ("sound_id", "sound_id"), ("1", "2"))
    assert "d.csv: column 'sound_id' is there twice" in refused(lambda: ListedOrigins(tmp_path / "d.csv"))
    assert "none.csv: no such file; check the path" in refused(lambda: ListedOrigins(tmp_path / "none.csv"))


def test_files_of_ids_with_a_header_and_without(tmp_path: Path, refused: Refused) -> None:
    write_csv(tmp_path / "test.csv", ("audiocap_id", "youtube_id"), ("1", "r1nicOVtvkQ"))
    (tmp_path / "vggsound.csv").write_text('glLQrEijrKg_000300.mp4,"heart sounds, heartbeat"\n\n')
    files = [IdFile(str(tmp_path / "test.csv"), "youtube_id"), IdFile(str(tmp_path / "vggsound.csv"))]
    assert origins_in(files, "youtube") == {"youtube:r1nicOVtvkQ", "youtube:glLQrEijrKg"}
    assert "column 'ytid' is missing" in refused(lambda: origins_in([IdFile(files[0].file, "ytid")], "youtube"))
    message = refused(lambda: origins_in([IdFile(str(tmp_path / "gone.csv"))], "youtube"))
    assert message.endswith("gone.csv: no such file; get it, or take it out of data.exclude")
    (tmp_path / "empty.txt").write_text("\n")
    assert "holds no ids" in refused(lambda: origins_in([IdFile(str(tmp_path / "empty.txt"))], "youtube"))
