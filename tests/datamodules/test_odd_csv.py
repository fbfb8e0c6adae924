"""Annotation files as spreadsheets, cuts and slips leave them; names as archives unpack them: said, never lost."""

import csv
import json
import logging
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import DataError, RunError
from datamodules.audiocaps import AudioCaps, read_audiocaps_csv
from datamodules.clotho import Clotho, read_caption_csv
from datamodules.csv_files import read_csv
from datamodules.table import split_table
from datamodules.wavcaps import WavCaps, read_wavcaps_json
from experiments.provenance import check_same_training
from tests.support.corpus import Corpus
from tests.support.layouts import write_audio, write_audiocaps, write_wavcaps

Refused = Callable[[Callable[[], object]], str]
HEADER = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5"


def rows(*lines: str) -> str:
    return "\n".join((HEADER, *lines)) + "\n"


def clotho_csv(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "captions.csv"
    path.write_bytes(text.encode(encoding))
    return path


# --- quotes, cuts, headers


@pytest.mark.parametrize(
    "text",
    [
        rows("a.wav,A dog,b,c,d,e", 'b.wav,"A cat,b,c,d,e', "c.wav,A car,b,c,d,e", 'd.wav,"A bus",b,c,d,e'),
        rows("a.wav,A dog,b,c,d,e", 'b.wav,"A cat,b,c,d,e', 'c.wav,A car",b,c,d,e', "d.wav,A bus,b,c,d,e"),
        rows("a.wav,A dog,b,c,d,e", 'b.wav,"A cat,b,c,d,e', 'c.wav,"A car",b,c,d,e', "d.wav,A bus,b,c,d,e"),
    ],
)
def test_a_stray_quote_is_named_by_its_line(tmp_path: Path, refused: Refused, text: str) -> None:
    path = clotho_csv(tmp_path, text)
    message = refused(lambda: read_caption_csv(path))
    assert message.startswith(f"{path}, line 3: ")
    assert "quote" in message


def test_a_stray_quote_swallows_no_rows_of_audiocaps(tmp_path: Path, refused: Refused) -> None:
    lines = ['1,aaa,30,"A dog barks', "2,bbb,20,A cat", '3,ccc,10,"A car, then a bus"', "4,ddd,0,Rain"]
    path = tmp_path / "train.csv"
    path.write_text("\n".join(("audiocap_id,youtube_id,start_time,caption", *lines)) + "\n")
    message = refused(lambda: read_audiocaps_csv(path))
    assert message.startswith(f"{path}, line 2: ")


def test_a_caption_may_have_lines(tmp_path: Path) -> None:
    path = clotho_csv(tmp_path, rows('a.wav,"A dog barks.\nThen it rains, softly.",b,c,d,e'))
    assert read_caption_csv(path) == [("a.wav", ["A dog barks.\nThen it rains, softly.", "b", "c", "d", "e"])]


@pytest.mark.parametrize("column", ["file_name", "caption_1"])
def test_a_column_is_there_once(tmp_path: Path, refused: Refused, column: str) -> None:
    path = clotho_csv(tmp_path, f"{HEADER},{column}\na.wav,A dog,b,c,d,e,f\n")
    assert refused(lambda: read_caption_csv(path)) == (
        f"{path}: column '{column}' is there twice in the first line; rename or delete one of them"
    )


def test_a_last_row_that_was_cut_off_is_refused(tmp_path: Path, refused: Refused) -> None:
    text = rows("a.wav,A dog,b,c,d,e", "b.wav,A cat,b,c,d,e")
    path = clotho_csv(tmp_path, text[:-5])
    assert refused(lambda: read_caption_csv(path)) == (
        f"{path}, line 3: the file ends in the middle of this row; get it again, whole"
    )
    clotho_csv(tmp_path, text[:-1])  # an editor's habit
    assert len(read_caption_csv(path)) == 2
    clotho_csv(tmp_path, rows("a.wav,A dog,b,c,d,e", "b.wav,A cat"))  # as before: fewer captions
    assert read_caption_csv(path)[1] == ("b.wav", ["A cat"])


@pytest.mark.parametrize(
    ("text", "encoding", "cause"),
    [
        (rows("a.wav,A dog,b,c,d,e").replace(",", ";"), "utf-8", "it is separated by semicolons; save it separated"),
        (
            rows("a.wav,A dog,b,c,d,e").replace(",", "\t"),
            "utf-8",
            "it is separated by tabs; save it separated by",
        ),
        (rows('"a.wav";"A dog";b').replace(",", '";"'), "utf-8", "it is separated by semicolons; save it"),
        ("sep=,\n" + rows("a.wav,A dog,b,c,d,e"), "utf-8", "its first line 'sep=,' is a spreadsheet's own; delete it"),
        (rows("a.wav,A dog,b,c,d,e"), "utf-16", "is in UTF-16, as some spreadsheets save text; save it as UTF-8"),
        (rows("a.wav,A dog,b,c,d,e"), "utf-16-le", "is in UTF-16, as some spreadsheets save text; save it as UTF-8"),
        (rows("a.wav,A dog,b,c,d,e").replace(",", ", "), "utf-8", "it is written ' caption_1'; write 'caption_1' in"),
        (
            rows("a.wav,A dog,b,c,d,e").title(),
            "utf-8",
            "it is written 'File_Name'; write 'file_name' in the first",
        ),
        (rows("a.wav,A dog,b,c,d,e").replace("_", " "), "utf-8", "it is written 'file name'; write 'file_name'"),
    ],
)
def test_likely_causes_are_named(tmp_path: Path, refused: Refused, text: str, encoding: str, cause: str) -> None:
    path = clotho_csv(tmp_path, text, encoding)
    message = refused(lambda: read_caption_csv(path))
    assert message.startswith(f"{path}")
    assert cause in message


# --- captions and ids


@pytest.mark.parametrize(
    "caption", ["\x00", "\x07\x1b", "\u200b", "\ufeff\u200d", "nan", "NaN", "N/A", "#N/A", "null", "None", "?", "..."]
)
def test_a_caption_has_words(tmp_path: Path, refused: Refused, caption: str) -> None:
    path = clotho_csv(tmp_path, rows("a.wav,A dog,b,c,d,e", f"b.wav,A cat,{caption},c,d,e"))
    assert f"{path}, line 3: a caption of 'b.wav' " in refused(lambda: read_caption_csv(path))
    train = tmp_path / "train.csv"
    train.write_text(f"audiocap_id,youtube_id,start_time,caption\n1,aaa,30,{caption}\n")
    assert f"{train}, line 2: the caption " in refused(lambda: read_audiocaps_csv(train))
    json_file = tmp_path / "x.json"
    json_file.write_text(json.dumps({"data": [{"id": "1", "caption": caption}]}))
    assert f"{json_file}: entry 1" in refused(lambda: read_wavcaps_json(json_file, "BBC"))


@pytest.mark.parametrize("caption", ["雨が降る", "Ein Hund bellt", "3", "Nan sings", "A dog\u200b barks"])
def test_captions_of_any_script_are_captions(tmp_path: Path, caption: str) -> None:
    path = clotho_csv(tmp_path, rows(f"a.wav,{caption},b,c,d,e"))
    assert read_caption_csv(path)[0][1][0] == caption


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("1,#NAME?,30,A dog", "youtube_id"),
        ("1,../../etc/x,30,A dog", "youtube_id"),
        ("1,a\\b,30,A dog", "youtube_id"),
        ("1E+05,aaa,30,A dog", "audiocap_id"),
        ("1.03E+05,aaa,30,A dog", "audiocap_id"),
        ("1,aaa,#REF!,A dog", "start_time"),
        ("1,aaa,soon,A dog", "start_time"),
        ("1,aaa,1E+02,A dog", "start_time"),
        ("1,aaa,-5,A dog", "start_time"),
    ],
)
def test_ids_that_were_destroyed_are_refused(tmp_path: Path, refused: Refused, row: str, column: str) -> None:
    path = tmp_path / "train.csv"
    path.write_text(f"audiocap_id,youtube_id,start_time,caption\n0,zzz,30,Rain\n{row}\n")
    assert refused(lambda: read_audiocaps_csv(path)).startswith(f"{path}, line 3: {column} ")


def test_numbers_with_a_spreadsheets_decimals_are_the_same_numbers(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("audiocap_id,youtube_id,start_time,caption\n1.0,aaa,30.0,A dog\n2,aaa,30,A cat\n3,bbb,1.5,A car\n")
    captions, ids = read_audiocaps_csv(path)
    assert captions == {"aaa_30": ["A dog", "A cat"], "bbb_1.5": ["A car"]}
    assert ids["aaa_30"] == ["1", "2"]


def test_a_destroyed_file_name_is_refused(tmp_path: Path, refused: Refused) -> None:
    path = clotho_csv(tmp_path, rows("#NAME?,A dog,b,c,d,e"))
    assert "line 2: file_name '#NAME?' was lost in a spreadsheet" in refused(lambda: read_caption_csv(path))


def test_dcases_list_of_freesound_ids_says_not_found(tmp_path: Path, refused: Refused) -> None:
    write_wavcaps(tmp_path)
    (tmp_path / "more.csv").write_text("sound_id\n101\nNot found\n103\n")
    module = WavCaps(str(tmp_path), ["FreeSound"], exclude=None, exclude_freesound=str(tmp_path / "more.csv"))
    assert [row.name for row in module.annotations("train")] == ["FreeSound/102"]
    (tmp_path / "more.csv").write_text("sound_id\n1E+05\n")
    module = WavCaps(str(tmp_path), ["FreeSound"], exclude=None, exclude_freesound=str(tmp_path / "more.csv"))
    assert "line 2: sound_id '1E+05' is no Freesound id" in refused(lambda: module.annotations("train"))


def test_json_nested_without_end_is_one_line(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "x.json"
    path.write_text("[" * 100_000)
    assert f"{path}: is not JSON (" in refused(lambda: read_wavcaps_json(path, "BBC"))


# --- names of files, and files without names


def test_names_that_an_archive_changed_are_found(corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    folder = corpus.audio("development", "")
    composed = "Café au lait.wav"
    assert unicodedata.is_normalized("NFC", composed)
    corpus.audio("development", composed).rename(folder / unicodedata.normalize("NFD", composed))
    corpus.audio("development", " street.wav").rename(folder / "street.wav")
    module = Clotho(str(corpus.root), sample_rate=16000, num_workers=0)
    with caplog.at_level(logging.WARNING):
        table = module.read_split("train")
    assert table.missing == ()
    assert table.audio["name"].to_pylist() == list(corpus.captions["development"])
    assert all(Path(path).is_file() for path in table.audio["path"].to_pylist())
    (record,) = caplog.records
    assert record.getMessage().startswith(
        f"{folder}: 2 recordings are spelled otherwise than in the annotations, and taken: ' street.wav' as 'street"
    )


def test_a_file_is_not_taken_for_two_names(corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    corpus.audio("development", " street.wav").unlink()
    with corpus.caption_file("development").open("a") as file:
        file.write("street.wav,A street,b,c,d,e\n")
    corpus.audio("development", "dog.wav").rename(corpus.audio("development", "street.wav"))
    table = Clotho(str(corpus.root), sample_rate=16000).read_split("train")
    assert sorted(table.missing) == [" street.wav", "dog.wav"]  # the file of that very name is another row's


def test_audio_that_no_row_mentions_is_named(corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    path = corpus.caption_file("development")
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:4]), "utf-8")
    corpus.audio("development", "notes.txt").write_text("no audio")
    module = Clotho(str(corpus.root), sample_rate=16000)
    with caplog.at_level(logging.WARNING):
        module.read_split("train")
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{corpus.audio('development', '')}: 3 recordings are in no row of {corpus.root / 'clotho_csv_files'}, and not "
        "used: 'Café au lait.wav', 'bell (2).wav', 'wind.wav'; is it whole?"
    )


@pytest.mark.parametrize("stem", ["aaa", "Yaaa", "aaa_30", "Yaaa_30", "11"])
def test_audiocaps_files_have_many_names(tmp_path: Path, stem: str) -> None:
    write_audiocaps(tmp_path)
    (tmp_path / "audio/train/aaa_30.flac").rename(tmp_path / f"audio/train/{stem}.flac")
    table = AudioCaps(str(tmp_path), sample_rate=16000).read_split("train")
    assert "aaa_30" in table.audio["name"].to_pylist()


def test_audiocaps_names_that_were_looked_for_are_said(
    tmp_path: Path, refused: Refused, caplog: pytest.LogCaptureFixture
) -> None:
    write_audiocaps(tmp_path)
    for number, path in enumerate(sorted((tmp_path / "audio/train").rglob("*.*"))):
        path.rename(tmp_path / f"audio/train/clip{number}.wav")
    with caplog.at_level(logging.WARNING):
        message = refused(lambda: AudioCaps(str(tmp_path), sample_rate=16000).read_split("train"))
    assert "called {youtube_id}_{start_time}, {youtube_id}, either with a Y before it, or {audiocap_id}" in message
    assert "3 recordings are in no row of" in caplog.text
    caplog.clear()
    write_audio(tmp_path / "audio/val/more.wav")
    AudioCaps(str(tmp_path), sample_rate=16000).read_split("validation")
    assert f"1 recordings are in no row of {tmp_path / 'dataset' / 'val.csv'}, and not used: 'more.wav'" in caplog.text


# --- captions that change


def test_a_resumed_run_has_the_captions_it_began_with(corpus: Corpus, tmp_path: Path) -> None:
    module = Clotho(str(corpus.root), sample_rate=16000)
    before = module.read_split("train").manifest()
    run = tmp_path / "run"
    run.mkdir()
    (run / "provenance.json").write_text(json.dumps({"fit": {"devices": 1, "data": {"train": before}}}))
    check_same_training(run, {"train": before}, 1)
    path = corpus.caption_file("development")
    with path.open(encoding="utf-8", newline="") as file:
        table = list(csv.reader(file))
    table[1][1] = "Another caption"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table)
    now = Clotho(str(corpus.root), sample_rate=16000).read_split("train").manifest()
    assert now["sha256"] == before["sha256"]
    with pytest.raises(
        RunError, match=r"recordings \(train: 6 with 30 captions, sha256 \w+, captions \w+ before, 6 with"
    ):
        check_same_training(run, {"train": now}, 1)
    del before["captions_sha256"]  # an older run's manifest has none
    (run / "provenance.json").write_text(json.dumps({"fit": {"devices": 1, "data": {"train": before}}}))
    check_same_training(run, {"train": now}, 1)


def test_the_hash_of_captions_is_of_ids_and_texts() -> None:
    def digest(*captions: tuple[int, int, str]) -> str:
        return split_table([], captions).manifest()["captions_sha256"]

    assert digest((0, 0, "A dog")) == digest((0, 0, "A dog")) != digest((1, 0, "A dog"))
    assert digest((0, 0, "A"), (1, 0, "B")) != digest((0, 0, "A\n1\tB"))


def test_every_refusal_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(bytes(1000))
    with pytest.raises(DataError):
        read_csv(path, ("a",), "iso-8859-1", "")
