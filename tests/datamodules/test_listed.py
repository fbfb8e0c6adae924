"""Data sets of captions and lists of ids; the subsets of Oncescu et al. 2021."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError
from datamodules.activitynet import ActivityNetCaptions
from datamodules.audiocaps import AudioCaps
from datamodules.clotho import Clotho
from datamodules.listed import ListedDataModule
from datamodules.queryd import QuerYD
from datamodules.sounddescs import SoundDescs
from tests.support.corpus import write_corpus
from tests.support.expert_features import made_up, write_features
from tests.support.layouts import write_activitynet, write_audiocaps, write_lists, write_queryd, write_sounddescs


def rows(data: ListedDataModule, split: str) -> list[tuple[str, list[str]]]:
    return [(row.name, row.captions) for row in data.annotations(split)]


def test_sounddescs_with_audio(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_sounddescs(tmp_path)
    data = SoundDescs(str(tmp_path))
    assert rows(data, "validation") == [
        ("07000004", ["Recording 07000004, a sound"]),
        ("nhu02", ["Recording nhu02, a sound"]),
    ]
    assert data.read_split("train").manifest()["clips"] == 4
    assert data.caption_ids("test").tolist() == [6, 7]
    with caplog.at_level(logging.WARNING):
        data.annotations("test")
    assert "duplicates cross the official splits" in caplog.text
    assert "1 of 2 test recordings have the description of a training one" in caplog.text

    caplog.clear()
    grouped = SoundDescs(str(tmp_path), split="group_filtered")
    with caplog.at_level(logging.WARNING):
        assert [name for name, _ in rows(grouped, "train")] == ["07000002", "07000003"]
        grouped.annotations("test")
    assert "duplicates" not in caplog.text


def test_sounddescs_descriptions_as_a_table(tmp_path: Path) -> None:
    write_sounddescs(tmp_path)
    names = [line for file in tmp_path.glob("data/SoundDescs/*.txt") for line in file.read_text().split()]
    table = tmp_path / "sounddescs_data" / "descriptions.csv"
    table.write_text("id,description\n" + "".join(f'{name},"Table, {name}"\n' for name in names))
    assert rows(SoundDescs(str(tmp_path)), "train")[0] == ("07000001", ["Table, 07000001"])


def test_activitynet_joins_the_sentences_of_a_video(tmp_path: Path) -> None:
    write_activitynet(tmp_path / "an")
    data = ActivityNetCaptions(str(tmp_path / "an"))
    assert rows(data, "train") == [
        ("v_b", ["train v_b begins. Then it ends."]),
        ("v_a", ["train v_a begins. Then it ends."]),
    ]
    assert (
        rows(data, "validation")
        == rows(data, "test")
        == [
            ("v_c", ["val_1 v_c begins. Then it ends."]),
            ("v_d", ["val_1 v_d begins. Then it ends."]),
        ]
    )
    other = ActivityNetCaptions(str(tmp_path / "an"), validation="val_2")
    assert rows(other, "validation")[0] == ("v_c", ["val_2 v_c begins. Then it ends."])


def test_queryd_segments_and_videos(tmp_path: Path) -> None:
    write_queryd(tmp_path)
    assert rows(QuerYD(str(tmp_path)), "test") == [("w-1", ["Someone opens w-1"]), ("w-2", ["Someone opens w-2"])]
    assert rows(QuerYD(str(tmp_path), part="videos"), "test") == [("video-w", ["First video-w then more"])]


@pytest.mark.parametrize("module", [SoundDescs, ActivityNetCaptions, QuerYD])
def test_features_stand_in_for_audio(tmp_path: Path, module: type[ListedDataModule]) -> None:
    write = {SoundDescs: write_sounddescs, ActivityNetCaptions: write_activitynet, QuerYD: write_queryd}[module]
    write(tmp_path / "data")
    store = write_features(module(str(tmp_path / "data")), tmp_path / "store", "vggish", dim=6)
    for file in tmp_path.glob("data/audio/*/*"):
        file.unlink()
    data = module(str(tmp_path / "data"), experts={"vggish": str(store)}, num_workers=0, batch_size=2)
    data.setup("fit")
    data.setup("test")
    for loader in (data.train_dataloader(), data.test_dataloader()):
        for batch in loader:
            for name, frames, length in zip(batch.names, *batch.experts["vggish"], strict=True):
                np.testing.assert_array_equal(frames[:length], made_up(name, 6))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write_sounddescs(tmp_path / "s")
    (tmp_path / "s/data/SoundDescs/val_list.txt").unlink()
    with pytest.raises(DataError, match=r"val_list.txt: no such list of ids; get sounddescs_data/"):
        SoundDescs(str(tmp_path / "s")).annotations("validation")
    write_lists(tmp_path / "s/data/SoundDescs", {"val": ["unknown"]})
    with pytest.raises(DataError, match=r"val_list.txt: 'unknown' has no caption"):
        SoundDescs(str(tmp_path / "s")).annotations("validation")
    write_lists(tmp_path / "s/data/SoundDescs", {"val": ["a", "b", "a"]})
    with pytest.raises(DataError, match=r"val_list.txt: id 'a' comes twice"):
        SoundDescs(str(tmp_path / "s")).annotations("validation")
    (tmp_path / "s/sounddescs_data/descriptions.pkl").unlink()
    with pytest.raises(DataError, match=r"descriptions.pkl: cannot be read \(No such file"):
        SoundDescs(str(tmp_path / "s")).annotations("train")
    (tmp_path / "s/sounddescs_data/descriptions.csv").write_text("id,description\na,Rain\nb,Wind\na,A dog\n")
    with pytest.raises(DataError, match=r"descriptions.csv, line 4: id 'a' comes twice; delete one of the rows"):
        SoundDescs(str(tmp_path / "s")).annotations("train")

    write_activitynet(tmp_path / "a")
    for video, message in (
        ('"v_c": {"sentences": "A man sings."}', "the sentences of 'v_c' are no list of texts; get the file again"),
        ('"v_c": {"sentences": ["A"]}, "v_c": {"sentences": ["B"]}', "(KeyGivenTwiceError: the key v_c twice)"),
    ):
        (tmp_path / "a/val_1.json").write_text(f"{{{video}}}")
        with pytest.raises(DataError, match=re.escape(message)):
            ActivityNetCaptions(str(tmp_path / "a")).annotations("test")
    (tmp_path / "a/val_1.json").write_text('{"v_c": {"timestamps": []}}')
    with pytest.raises(DataError, match=r"val_1.json: is not that of ActivityNet-Captions \(KeyError: 'sentences'\)"):
        ActivityNetCaptions(str(tmp_path / "a")).annotations("test")
    (tmp_path / "a/val_1.json").unlink()
    with pytest.raises(DataError, match=r"val_1.json: no such file; get train.json"):
        ActivityNetCaptions(str(tmp_path / "a")).annotations("test")


def test_audiocaps_subset_by_lists_of_each_kind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_audiocaps(tmp_path)
    folder = tmp_path / "oncescu2021"
    write_lists(folder, {"filtered_val": ["eee_10"]})
    data = [{"id": "fff_10000_18500.flac"}, {"id": "unknown_0_10000.flac"}]
    (folder / "test_full.json").write_text(json.dumps({"num_captions_per_audio": 5, "data": data}))
    module = AudioCaps(str(tmp_path), subset="oncescu2021")
    with caplog.at_level(logging.WARNING):
        assert [row.name for row in module.annotations("validation")] == ["eee_10"]
        assert [(row.name, len(row.captions)) for row in module.annotations("test")] == [("fff_10", 5)]
        assert len(module.annotations("train")) == 5
    assert "test_full.json: 1 of 2 ids have no captions: unknown_0" in caplog.text
    assert "train_list.txt: no list of training ids, so all 5 are taken" in caplog.text
    assert module.read_split("test").manifest()["clips"] == 1

    write_lists(folder, {"train": ["Yaaa_30", "ccc"]})
    assert [row.name for row in AudioCaps(str(tmp_path), subset="oncescu2021").annotations("train")] == [
        "aaa_30",
        "ccc_5",
    ]
    write_lists(folder, {"train": ["nothing"]})
    with pytest.raises(DataError, match=r"train_list.txt: names none of the 5 recordings \(for instance 'nothing'"):
        AudioCaps(str(tmp_path), subset="oncescu2021").annotations("train")
    (folder / "test_full.json").write_text("[]")
    with pytest.raises(DataError, match=r"test_full.json: is no list of ids"):
        AudioCaps(str(tmp_path), subset="oncescu2021").annotations("test")


def test_the_cut_of_clotho(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    corpus = write_corpus(tmp_path)
    official = Clotho(str(tmp_path))
    names = [row.name for row in official.annotations("train")]
    with caplog.at_level(logging.WARNING):
        cut = Clotho(str(tmp_path), subset="oncescu2021")
        train, held = ([row.name for row in cut.annotations(split)] for split in ("train", "validation"))
    assert sorted(train + held) == sorted(names)
    assert len(train) == round(0.8 * len(names))
    assert "is a random cut (seed 0), not the paper's" in caplog.text
    assert cut.annotations("test") == official.annotations("test")
    assert cut.read_split("validation").audio["path"].to_pylist() == [
        str(corpus.audio("development", name)) for name in held
    ]
    write_lists(tmp_path / "oncescu2021", {"train": names[:-1], "val": [Path(names[-1]).stem]})
    listed = Clotho(str(tmp_path), subset="oncescu2021")
    assert [row.name for row in listed.annotations("validation")] == names[-1:]
