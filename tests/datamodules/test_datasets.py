"""AudioCaps, WavCaps and mixtures on tiny corpora in their official layouts; leaks between them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.__main__ import main
from common.errors import DataError
from datamodules.audiocaps import AudioCaps
from datamodules.clotho import SPLITS, Clotho
from datamodules.leaks import find_leaks
from datamodules.mixture import Mixture
from datamodules.wavcaps import WavCaps
from tests.support.corpus import Corpus
from tests.support.layouts import write_audio, write_audiocaps, write_wavcaps

Refused = Callable[[Callable[[], object]], str]
SOURCES: list[Any] = ["FreeSound", "AudioSet"]


@pytest.fixture
def audiocaps(tmp_path: Path) -> Path:
    write_audiocaps(tmp_path / "audiocaps")
    return tmp_path / "audiocaps"


@pytest.fixture
def wavcaps(tmp_path: Path) -> Path:
    write_wavcaps(tmp_path / "wavcaps")
    return tmp_path / "wavcaps"


def pairs(module: Any, split: str) -> list[tuple[str, str]]:
    """(name, caption) of every caption of a split, after checking that its ids lead to the same caption and audio."""
    table = module.read_split(split)
    captions, audio_ids = module.read_captions()
    names, ids = table.audio["name"].to_pylist(), table.audio["audio_id"].to_pylist()
    rows = table.captions.to_pylist()
    for row in rows:
        assert captions[row["caption_id"]] == row["caption"]
        assert audio_ids[row["caption_id"]] == ids[row["audio_row"]]
    assert [row["audio_row"] for row in rows] == sorted(row["audio_row"] for row in rows)
    return [(names[row["audio_row"]], row["caption"]) for row in rows]


# ---- AudioCaps -------------------------------------------------------------------------------------------------------


def test_audiocaps_finds_files_by_each_of_their_names(audiocaps: Path) -> None:
    module = AudioCaps(str(audiocaps))
    assert pairs(module, "train") == [
        ("aaa_30", "A dog barks"),
        ("-bb_b_0", "Rain falls, softly"),
        ("ccc_5", "A bell rings"),
    ]
    assert module.read_split("train").missing == ("gone_5", "gone too_5")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_rows_of_one_clip_are_its_captions(audiocaps: Path, split: str) -> None:
    names = ("ddd", "eee") if split == "validation" else ("fff", "ggg")  # in the test file they alternate
    expected = [(f"{video}_10", f"{video} caption {i}") for video in names for i in range(5)]
    assert pairs(AudioCaps(str(audiocaps)), split) == expected


def test_audiocaps_leaves_broken_files_out_and_counts_them_as_absent(audiocaps: Path) -> None:
    (audiocaps / "audio/train/aaa_30.flac").write_bytes(b"")
    table = AudioCaps(str(audiocaps)).read_split("train")
    assert table.audio["name"].to_pylist() == ["-bb_b_0", "ccc_5"]
    assert table.manifest()["share_present"] == 2 / 5
    with pytest.raises(DataError, match=r"aaa_30.flac: is empty"):
        AudioCaps(str(audiocaps), broken_audio="refuse").read_split("train")


def damaged(audiocaps: Path, old: str, new: str) -> AudioCaps:
    path = audiocaps / "dataset/train.csv"
    path.write_text(path.read_text().replace(old, new))
    return AudioCaps(str(audiocaps))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("12,-bb_b", "11,-bb_b", "train.csv, line 3: audiocap_id 11 is in line 2 already; delete one of the rows"),
        ("A bell rings", "", "train.csv, line 4: a cell is empty; fix or delete the row"),
        ("youtube_id", "video", "train.csv: column 'youtube_id' is missing (found: audiocap_id, video, start_time"),
    ],
)
def test_damaged_audiocaps_csv(audiocaps: Path, refused: Refused, old: str, new: str, message: str) -> None:
    assert message in refused(lambda: damaged(audiocaps, old, new).read_split("train"))


# ---- WavCaps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        ("clotho_audiocaps", ["FreeSound/101", "FreeSound/103", "AudioSet/Yxxx"]),
        ("clotho", ["FreeSound/101", "FreeSound/103", "AudioSet/Yxxx", "AudioSet/Yaaa"]),
        (None, ["FreeSound/101", "FreeSound/102", "FreeSound/103", "AudioSet/Yxxx", "AudioSet/Yaaa"]),
    ],
)
def test_wavcaps_leaves_out_what_is_excluded_or_broken(wavcaps: Path, exclude: Any, expected: list[str]) -> None:
    assert [name for name, _ in pairs(WavCaps(str(wavcaps), SOURCES, exclude), "train")] == expected


def test_further_freesound_ids_can_be_excluded(wavcaps: Path) -> None:
    (wavcaps / "more.csv").write_text("sound_id\n0101\n103\n")
    module = WavCaps(str(wavcaps), ["FreeSound"], exclude_freesound=str(wavcaps / "more.csv"))
    assert [name for name, _ in pairs(module, "train")] == ["FreeSound/101"]  # ids are text: 0101 is another one


@pytest.mark.parametrize("content", ["{}", '{"freesound": ["102"]}', '{"FreeSound": [], "AudioSet": ["Yaaa.wav"]}'])
def test_an_exclusion_list_without_ids_is_refused(wavcaps: Path, refused: Refused, content: str) -> None:
    (wavcaps / "json_files/blacklist/blacklist_exclude_all_ac.json").write_text(content)
    assert "json: has no list of " in refused(lambda: WavCaps(str(wavcaps), SOURCES).read_split("train"))


def test_freesound_ids_are_whole_numbers(wavcaps: Path, refused: Refused) -> None:
    (wavcaps / "more.csv").write_text("sound_id\n101.wav\n103.0\n")
    module = WavCaps(str(wavcaps), ["FreeSound"], exclude_freesound=str(wavcaps / "more.csv"))
    message = "more.csv, line 3: sound_id '103.0' is no Freesound id; write whole numbers"
    assert refused(lambda: module.read_split("train")).endswith(message)


def test_sources_are_given_once(refused: Refused) -> None:
    assert "give at least one source, and none twice" in refused(lambda: WavCaps(sources=["BBC", "BBC"]))
    assert "give at least one source, and none twice" in refused(lambda: WavCaps(sources=[]))


def test_a_share_is_held_out_by_name(wavcaps: Path) -> None:
    whole = {name for name, _ in pairs(WavCaps(str(wavcaps), SOURCES, None), "train")}
    module = WavCaps(str(wavcaps), SOURCES, None, validation_share=0.5)
    train, held_out = ({row.name for row in module.annotations(split)} for split in ("train", "validation"))
    assert train
    assert held_out
    assert train | held_out == whole
    assert not train & held_out


def test_wavcaps_alone_cannot_be_evaluated_on(wavcaps: Path, refused: Refused) -> None:
    message = refused(lambda: WavCaps(str(wavcaps), SOURCES).setup("fit"))
    assert message.endswith("no validation recordings; evaluate on another with Mixture, or set data.validation_share")
    assert "has no test recordings" in refused(lambda: WavCaps(str(wavcaps), SOURCES).setup("test"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", 'is not of the shape {"data": [{"id", "caption", ...}, ...]}; get the file again'),
        ('{"data": []}', "is not of the shape"),
        ('{"data": [{"id": "1", "caption": "A."}, {"id": "1", "caption": "B."}]}', "entry 2: id '1' comes twice"),
        ('{"data": [{"id": "1"}]}', "entry 1 has no id or no caption"),
        ('{"data": [{"id": "../1", "caption": "A."}]}', "entry 1: id '../1' is not a plain name"),
        ('{"data": [', "is not JSON (Expecting value"),
    ],
)
def test_damaged_wavcaps_json(wavcaps: Path, refused: Refused, content: str, message: str) -> None:
    (wavcaps / "json_files/FreeSound/fsd_final.json").write_text(content)
    error = refused(lambda: WavCaps(str(wavcaps), ["FreeSound"]).read_split("train"))
    assert error.startswith(f"{wavcaps / 'json_files/FreeSound/fsd_final.json'}: ")
    assert message in error


# ---- mixture ---------------------------------------------------------------------------------------------------------


def mixture(corpus: Corpus, audiocaps: Path, wavcaps: Path, judge: int = 0) -> Mixture:
    parts = [Clotho(str(corpus.root)), AudioCaps(str(audiocaps)), WavCaps(str(wavcaps), SOURCES)]
    return Mixture(parts, judge, batch_size=4, sample_rate=8000, num_workers=0)


def test_a_mixture_trains_on_all_and_is_judged_on_one(corpus: Corpus, audiocaps: Path, wavcaps: Path) -> None:
    module = mixture(corpus, audiocaps, wavcaps, judge=1)
    parts = [pairs(part, "train") for part in module.parts]
    labels = ("0.Clotho", "1.AudioCaps", "2.WavCaps")
    expected = [(f"{label}/{name}", text) for label, part in zip(labels, parts, strict=True) for name, text in part]
    assert pairs(module, "train") == expected
    assert pairs(module, "test") == pairs(module.parts[1], "test")


def test_ids_of_a_mixture_are_distinct_over_parts_and_splits(corpus: Corpus, audiocaps: Path, wavcaps: Path) -> None:
    module = mixture(corpus, audiocaps, wavcaps)
    captions, audio_ids = module.read_captions()
    assert len(captions) == len(audio_ids) == sum(len(part.read_captions()[0]) for part in module.parts)
    assert len(np.unique(audio_ids)) == sum(part.annotated_count() for part in module.parts)
    ids = [i for split in SPLITS for i in module.read_split(split).audio["audio_id"].to_pylist()]
    assert len(ids) == len(set(ids))


def test_batches_of_a_mixture(corpus: Corpus, audiocaps: Path, wavcaps: Path) -> None:
    module = mixture(corpus, audiocaps, wavcaps)
    module.setup("fit")
    drawn = [i for batch in module.train_dataloader() for i in batch.caption_ids.tolist()]
    all_pairs = module.tables["train"].captions["caption_id"].to_pylist()
    assert len(set(drawn)) == len(drawn) == len(all_pairs) // 4 * 4
    assert set(drawn) <= set(all_pairs)


def test_a_mixture_needs_parts_and_a_judge_among_them(audiocaps: Path, refused: Refused) -> None:
    assert "data.parts is empty" in refused(lambda: Mixture([]))
    message = refused(lambda: Mixture([AudioCaps(str(audiocaps))], judge=1))
    assert message == "data.judge is 1, but there are 1 parts; give 0 to 0"


# ---- leaks -----------------------------------------------------------------------------------------------------------


def test_leaks_are_found_within_a_data_set_and_between_two(audiocaps: Path, wavcaps: Path) -> None:
    with (audiocaps / "dataset/test.csv").open("a") as file:
        file.write("999,aaa,90,The same video as a training clip\n")
        file.write("998,xxx,1,A video of AudioSet\n")
    write_audio(audiocaps / "audio/test/aaa_90.wav")
    leaks = find_leaks([("AudioCaps", AudioCaps(str(audiocaps))), ("WavCaps", WavCaps(str(wavcaps), SOURCES))])
    assert [(leak.origin, leak.seen, leak.seen_names, leak.evaluated, leak.evaluated_names) for leak in leaks] == [
        ("youtube:aaa", "AudioCaps train", ["aaa_30"], "AudioCaps test", ["aaa_90"]),
        ("youtube:xxx", "WavCaps train", ["AudioSet/Yxxx"], "AudioCaps test", ["xxx_1"]),
    ]


def test_clothos_metadata_give_its_origins(corpus: Corpus) -> None:
    module = Clotho(str(corpus.root))
    rows = corpus.metadata_file("development").read_text(encoding="iso-8859-1")
    corpus.metadata_file("development").write_text(rows.replace("noise,1,", "noise,Not found,", 1), "iso-8859-1")
    origins = module.origins("train")
    assert list(origins.values()) == ["freesound:1"] * 5
    assert json.dumps(sorted(origins)) == json.dumps(sorted(list(corpus.captions["development"])[1:]))


def test_the_leak_report(audiocaps: Path, wavcaps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (audiocaps / "dataset/test.csv").open("a") as file:
        file.write("999,aaa,90,The same video as a training clip\n")
    roots = ["--audiocaps", str(audiocaps), "--wavcaps", str(wavcaps), "--sources", *SOURCES]
    assert main(["leaks", *roots, "--exclude", "clotho_audiocaps"]) == 0
    assert "1 origins are on both sides" in capsys.readouterr().out  # WavCaps' clip of it is excluded
    assert main(["leaks", *roots, "--exclude", "nothing"]) == 0
    assert "2 origins are on both sides" in capsys.readouterr().out
    assert main(["leaks", "--clotho", "nowhere"]) == 1
    assert capsys.readouterr().err == "error: nowhere: no such folder; give the data set's folder as --clotho\n"
    (audiocaps / "dataset/test.csv").unlink()
    assert main(["leaks", *roots]) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        f"error: {audiocaps}/dataset/test.csv: no such file; run `audio-relevance download audiocaps"
    )
    assert "--data.root" not in error  # which `leaks` has not
