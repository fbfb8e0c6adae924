"""AudioCaps 2.0, MACS, left-out ids and languages, on tiny corpora in their official layouts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from datamodules.annotated_folder import AnnotatedFolder
from datamodules.annotated_rows import Columns
from datamodules.audiocaps import AudioCaps
from datamodules.id_lists import IdFile
from datamodules.leaks import find_leaks
from datamodules.macs import MACS
from datamodules.mixture import Mixture
from tests.support.annotated_layouts import audiocaps2, write_csv
from tests.support.layouts import write_audio, write_audiocaps

Refused = Callable[[Callable[[], object]], str]


def said(module: Any, split: str) -> dict[str, list[str]]:
    return {row.name: row.captions for row in module.annotations(split)}


# ---- AudioCaps 2.0 ---------------------------------------------------------------------------------------------------


def test_audiocaps_2_is_read_from_its_own_folder(tmp_path: Path, refused: Refused) -> None:
    write_audiocaps(tmp_path)
    expected = audiocaps2(tmp_path)
    second, first = AudioCaps(str(tmp_path), version=2), AudioCaps(str(tmp_path))
    for split, captions in expected.items():
        assert said(second, split) == captions
        assert said(first, split).keys() != captions.keys()
    assert second.read_split("train").audio["name"].to_pylist() == ["aaa_30", "-b.b_0"]
    assert (first.label, second.label) == ("AudioCaps", "AudioCaps 2.0")
    assert Mixture([second, first], judge=1).label == "AudioCaps 2.0 + AudioCaps"
    assert Mixture([second, first], judge=0).label == "AudioCaps + AudioCaps 2.0"
    file = tmp_path / "dataset2.0" / "test.csv"
    file.write_text(file.read_text().replace("ddd,", ","))
    assert "dataset2.0/test.csv, line 2: a cell is empty" in refused(lambda: second_again(tmp_path))
    file.unlink()
    assert "dataset2.0/" in refused(lambda: second_again(tmp_path))
    assert refused(lambda: AudioCaps(str(tmp_path), version=3)) == "data.version is 3; give 1 or 2"  # type: ignore[arg-type]


def second_again(root: Path) -> object:
    return AudioCaps(str(root), version=2).annotations("test")


# ---- MACS ------------------------------------------------------------------------------------------------------------


def write_scenes(root: Path, *names: str) -> None:
    notes = [{"sentence": text, "tags": ["a"], "annotator_id": i} for i, text in enumerate(("People talk", "A hall"))]
    (root / "MACS.yaml").write_text(yaml.safe_dump({"files": [{"filename": n, "annotations": notes} for n in names]}))
    for name in names:
        write_audio(root / "audio" / "some" / name)


def test_macs_keeps_the_recordings_of_a_place_together(tmp_path: Path) -> None:
    places = [f"{scene}-{city}-{i}" for scene in ("airport", "park") for city in ("lyon", "paris") for i in range(9)]
    write_scenes(tmp_path, *(f"{place}-{segment}-a.wav" for place in places for segment in range(2)))
    whole, cut = MACS(str(tmp_path)), MACS(str(tmp_path), validation_share=0.3)
    assert whole.splits == ("train",)
    assert said(whole, "train")["park-paris-8-1-a.wav"] == ["People talk", "A hall"]
    assert len(whole.read_split("train").audio) == 72
    assert whole.origins("train")["airport-lyon-0-1-a.wav"] == "tau:airport-lyon-0"
    assert 4 <= len(said(cut, "validation")) <= 40
    assert find_leaks([("MACS", cut)]) == []


def test_what_macs_refuses(tmp_path: Path, refused: Refused) -> None:
    write_scenes(tmp_path, "airport-lyon-0-1-a.wav", "airport.wav")
    message = refused(lambda: MACS(str(tmp_path)).annotations("train"))
    assert "MACS.yaml, entry 2: 'airport.wav' is not called SCENE-CITY-PLACE-SEGMENT-DEVICE.wav" in message
    (tmp_path / "MACS.yaml").write_text("files:\n- filename: a-b-0-0-a.wav\n  annotations: []\n")
    assert "entry 1: 'a-b-0-0-a.wav' has no caption" in refused(lambda: MACS(str(tmp_path)).annotations("train"))
    (tmp_path / "MACS.yaml").unlink()
    assert "get MACS.yaml from Zenodo" in refused(lambda: MACS(str(tmp_path)).annotations("train"))


# ---- left-out ids ----------------------------------------------------------------------------------------------------


def captions_of_videos(root: Path, **settings: Any) -> AnnotatedFolder:
    rows = [("Yr1nicOVtvkQ", "A dog."), ("7fmOlUlwoNg_0_10", "Rain."), ("7fmOlUlwoNg_9_19", "Wind."), ("x", "A bell.")]
    write_csv(root / "captions.csv", ("id", "caption"), *rows)
    write_csv(root / "tested.csv", ("youtube_id",), ("r1nicOVtvkQ",))
    given = {"name": "{id}", "origin": "youtube:{id}", **settings}
    return AnnotatedFolder(str(root), {"train": "captions.csv"}, **given)


def test_recordings_of_listed_videos_are_left_out_of_training(tmp_path: Path, refused: Refused) -> None:
    whole = captions_of_videos(tmp_path)
    assert whole.origins("train")["7fmOlUlwoNg_9_19"] == "youtube:7fmOlUlwoNg"
    listed = [IdFile(str(tmp_path / "tested.csv"), "youtube_id")]
    assert list(said(captions_of_videos(tmp_path, exclude=listed), "train")) == [*said(whole, "train")][1:]
    tested = AnnotatedFolder(str(tmp_path), {"test": "captions.csv"}, "{id}", origin="youtube:{id}", exclude=listed)
    assert len(said(tested, "test")) == 4  # a test is what it is
    message = refused(lambda: captions_of_videos(tmp_path, origin=None, exclude=listed))
    assert message == "data.exclude names ids of a source; say in data.origin which column holds them here"
    assert "data.origin is 'youtube'" in refused(lambda: captions_of_videos(tmp_path, origin="youtube"))
    gone = [IdFile(str(tmp_path / "gone.csv"))]
    assert "gone.csv: no such file" in refused(lambda: captions_of_videos(tmp_path, exclude=gone).annotations("train"))


def test_recordings_of_one_origin_stay_in_one_split(tmp_path: Path) -> None:
    rows = [(f"{video:011}_{begin}_{begin + 10}", "A caption") for video in range(60) for begin in (0, 10)]
    write_csv(tmp_path / "captions.csv", ("id", "caption"), *rows)
    module = AnnotatedFolder(
        str(tmp_path), {"train": "captions.csv"}, "{id}", origin="youtube:{id}", validation_share=0.3
    )
    assert 10 < len(said(module, "validation")) < 60
    assert find_leaks([("it", module)]) == []


# ---- languages -------------------------------------------------------------------------------------------------------


def in_languages(root: Path, **settings: Any) -> AnnotatedFolder:
    for language, (rain, bell) in {"en": ("Rain", "A bell"), "ja": ("雨の音", "鐘が鳴る音")}.items():
        for split, (name, text) in {"train": ("a", rain), "test": ("b", bell)}.items():
            write_csv(root / language / f"{split}.csv", ("id", "caption"), (name, text))
    files = {"train": "{language}/train.csv", "test": "{language}/test.csv"}
    return AnnotatedFolder(str(root), files, "{id}", **settings)


def test_a_file_of_each_language(tmp_path: Path, refused: Refused) -> None:
    module = in_languages(tmp_path, languages={"train": ["en", "ja"], "test": ["ja"]})
    assert (said(module, "train"), said(module, "test")) == ({"a": ["Rain", "雨の音"]}, {"b": ["鐘が鳴る音"]})
    assert module.label == f"{tmp_path.name} (train: en ja; test: ja)"
    assert "holds {language}; say in data.languages" in refused(lambda: in_languages(tmp_path))
    message = refused(lambda: in_languages(tmp_path, languages={"train": ["en"]}))
    assert message == "data.languages has none for test; name those that the split takes"
    wrong = {"train": ["en"], "test": ["fr"]}
    assert "fr/test.csv: no such file" in refused(lambda: in_languages(tmp_path, languages=wrong).annotations("test"))


def by_column(root: Path, **settings: Any) -> AnnotatedFolder:
    rows = [("a", "Rain", "en", "train"), ("a", "雨の音", "ja", "train"), ("b", "A bell", "en", "test")]
    write_csv(root / "captions.csv", ("id", "caption", "lang", "split"), *rows)
    return AnnotatedFolder(str(root), "captions.csv", "{id}", splits={"train": "train", "test": "test"}, **settings)


def test_a_column_of_languages(tmp_path: Path, refused: Refused) -> None:
    columns = Columns(split="split", language="lang")
    assert said(by_column(tmp_path, columns=columns), "train") == {"a": ["Rain", "雨の音"]}
    chosen = by_column(tmp_path, columns=columns, languages={"train": ["ja"], "test": ["en"]})
    assert (said(chosen, "train"), said(chosen, "test")) == ({"a": ["雨の音"]}, {"b": ["A bell"]})
    empty = by_column(tmp_path, columns=columns, languages={"train": ["ja"], "test": ["ja"]})
    message = refused(lambda: empty.annotations("test"))
    assert message.endswith("no row has ja in column 'lang'; set data.languages to the words of that column")
    message = refused(lambda: by_column(tmp_path, columns=Columns(split="split"), languages={"train": ["ja"]}))
    assert message.startswith("data.languages is given, but nothing tells languages apart; name data.columns.language")
