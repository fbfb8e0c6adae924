"""Clotho on a tiny corpus in its layout: tables, ids, missing recordings; the real captions where given."""

import logging
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from datamodules.clotho import SPLITS, Clotho, read_caption_csv, read_metadata_csv
from tests.support.clotho import Refused, clotho, ready, rewrite
from tests.support.corpus import CLIPS, Corpus, write_corpus


def test_tables_hold_what_was_written(corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    module = ready(corpus)
    assert not caplog.records
    for split, folder in SPLITS.items():
        table = module.tables[split]
        assert len(table.audio) == len(CLIPS[folder])
        assert len(table.captions) == 5 * len(CLIPS[folder])
        assert table.missing == ()
        for row, (name, rate, _, seconds) in enumerate(CLIPS[folder]):
            audio = table.audio.slice(row, 1).to_pylist()[0]
            assert audio["name"] == name
            assert Path(audio["path"]) == corpus.audio(folder, name)
            assert tuple(table.info(row)) == (round(rate * seconds), rate)
            captions = [table.captions["caption"][i].as_py() for i in table.caption_rows(row)]
            assert captions == corpus.captions[folder][name]
            assert captions[-1] == "A façade, rain — and 雨"
    assert " street.wav" in module.tables["train"].audio["name"].to_pylist()


def test_stages_read_only_the_splits_they_need(corpus: Corpus) -> None:
    for stage, splits in [
        ("fit", {"train", "validation"}),
        ("validate", {"validation"}),
        ("test", {"test"}),
        ("predict", {"test"}),
    ]:
        module = clotho(corpus)
        module.setup(stage)
        assert set(module.tables) == splits


def test_ids_run_over_all_splits_and_agree_with_read_captions(corpus: Corpus) -> None:
    module = ready(corpus)
    captions, audio_of_caption = module.read_captions()
    assert captions == [text for texts in corpus.captions.values() for five in texts.values() for text in five]
    assert audio_of_caption.tolist() == np.repeat(np.arange(13), 5).tolist()
    seen_audio, seen_captions = [], []
    for split in SPLITS:
        table = module.tables[split]
        seen_audio += table.audio["audio_id"].to_pylist()
        for row in table.captions.to_pylist():
            assert row["caption"] == captions[row["caption_id"]]
            assert table.audio["audio_id"][row["audio_row"]].as_py() == audio_of_caption[row["caption_id"]]
            seen_captions.append(row["caption_id"])
    assert seen_audio == list(range(13))
    assert seen_captions == list(range(65))


def test_read_captions_needs_no_audio(corpus: Corpus) -> None:
    for split, clips in CLIPS.items():
        for name, *_ in clips:
            corpus.audio(split, name).unlink()
    captions, audio_of_caption = clotho(corpus).read_captions()
    assert len(captions) == len(audio_of_caption) == 65


def test_recordings_with_fewer_captions_keep_theirs(corpus: Corpus) -> None:
    def blank(rows: list[list[str]]) -> None:
        rows[2][2:4] = ["", "  "]
        del rows[3][2:]

    rewrite(corpus.caption_file("development"), blank)
    module = ready(corpus)
    assert [len(module.tables["train"].caption_rows(row)) for row in range(6)] == [5, 3, 1, 5, 5, 5]
    assert module.tables["validation"].captions["caption_id"][0].as_py() == 24
    assert len(module.read_captions()[0]) == 59


def test_metadata_is_read_in_its_own_encoding(corpus: Corpus) -> None:
    metadata = read_metadata_csv(corpus.metadata_file("development"))
    assert list(metadata) == [name for name, *_ in CLIPS["development"]]
    assert metadata["dog.wav"]["keywords"].split(";") == ["café", "noise"]


def test_missing_recordings_are_named_and_change_no_id(corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    whole = ready(corpus).tables["train"]
    before = whole.manifest()
    assert before["missing"] == []
    assert (before["clips"], before["captions"], before["official_clips"], before["share_present"]) == (6, 30, 6, 1.0)
    corpus.audio("development", " street.wav").unlink()
    corpus.audio("development", "wind.wav").unlink()
    corpus.audio("development", "wind.wav").mkdir()  # a folder is no recording
    with caplog.at_level(logging.WARNING):
        module = ready(corpus)
    (record,) = caplog.records
    folder = corpus.audio("development", "dog.wav").parent
    assert record.getMessage() == (
        f"{folder}: 2 of 6 annotated recordings are missing: ' street.wav', 'wind.wav'; "
        "continuing without them (the full list is in the manifest)"
    )
    table = module.tables["train"]
    assert table.missing == (" street.wav", "wind.wav")
    assert table.audio["audio_id"].to_pylist() == [0, 1, 3, 4]
    assert table.captions["caption_id"].to_pylist() == [*range(10), *range(15, 25)]
    assert table.captions["audio_row"].to_pylist() == np.repeat(np.arange(4), 5).tolist()
    assert module.tables["test"].audio["audio_id"].to_pylist() == [9, 10, 11, 12]
    after = table.manifest()
    assert after["sha256"] != before["sha256"]
    assert (after["clips"], after["captions"], after["official_clips"]) == (4, 20, 6)
    assert after["share_present"] == pytest.approx(4 / 6)
    assert after["missing"] == [" street.wav", "wind.wav"]


def test_manifest_hash_is_the_same_elsewhere(corpus: Corpus, tmp_path: Path) -> None:
    other = write_corpus(tmp_path / "elsewhere")
    hashes = [
        {split: table.manifest()["sha256"] for split, table in ready(place).tables.items()} for place in (corpus, other)
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes[0].values())) == 3


def test_a_long_list_of_missing_recordings_is_cut(corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    rewrite(
        corpus.caption_file("evaluation"),
        lambda rows: rows.extend([f"{i:02d}.wav", *["A sound"] * 5] for i in range(12)),
    )
    module = clotho(corpus)
    module.setup("test")
    message = caplog.records[0].getMessage()
    assert "12 of 16 annotated recordings are missing: '00.wav'," in message
    assert "'09.wav', ...; continuing" in message
    assert "'10.wav'" not in message
    assert len(module.tables["test"].manifest()["missing"]) == 12


def test_refuse_missing_audio(corpus: Corpus, refused: Refused) -> None:
    ready(corpus, missing_audio="refuse")
    path = corpus.audio("development", "dog.wav")
    path.unlink()
    message = refused(lambda: clotho(corpus, missing_audio="refuse").setup("fit"))
    assert message.startswith(
        f"{path.parent}: 1 of 6 annotated recordings are missing: 'dog.wav'; run `audio-relevance download clotho"
    )


def test_all_recordings_missing(corpus: Corpus, refused: Refused) -> None:
    for name, *_ in CLIPS["development"]:
        corpus.audio("development", name).unlink()
    message = refused(lambda: clotho(corpus).setup("fit"))
    assert "6 of 6 annotated recordings are missing: 'rain on a roof.wav', " in message
    assert "; run `audio-relevance download clotho --root ROOT`, or get Clotho v2.1 from Zenodo record" in message
    assert message.endswith("then give ROOT as the data set's root")


def test_no_folder_of_recordings(corpus: Corpus, refused: Refused) -> None:
    folder = corpus.root / "clotho_audio_files"
    folder.rename(corpus.root / "audio")
    message = refused(lambda: clotho(corpus).setup("fit"))
    assert message.startswith(
        f"{folder / 'development'}: no such folder of recordings; run `audio-relevance download clotho"
    )


def test_no_data(tmp_path: Path, refused: Refused) -> None:
    for call in (lambda module: module.setup("fit"), lambda module: module.read_captions()):
        message = refused(partial(call, Clotho(str(tmp_path / "nowhere"))))
        path = tmp_path / "nowhere" / "clotho_csv_files" / "clotho_captions_development.csv"
        assert message.startswith(f"{path}: no such file; run `audio-relevance download clotho")


def test_damaged_recordings_are_refused_not_skipped(corpus: Corpus, refused: Refused) -> None:
    path = corpus.audio("validation", "river.wav")
    path.write_bytes(path.read_bytes()[:-100])
    assert refused(lambda: clotho(corpus).setup("fit")).startswith(f"{path}: is truncated")


@pytest.mark.skipif(not os.environ.get("CLOTHO_ROOT"), reason="CLOTHO_ROOT names no folder of Clotho v2.1")
def test_the_captions_of_clotho_itself() -> None:
    folder = Path(os.environ["CLOTHO_ROOT"]) / "clotho_csv_files"
    rows = {split: read_caption_csv(folder / f"clotho_captions_{split}.csv") for split in SPLITS.values()}
    assert {split: len(names) for split, names in rows.items()} == {
        "development": 3839,
        "validation": 1045,
        "evaluation": 1045,
    }
    counts = [sum(len(texts) for _, texts in rows[split]) for split in SPLITS.values()]
    assert counts == [19195, 5225, 5225]
    assert sum(name.startswith(" ") for names in rows.values() for name, _ in names) == 3
    for split, names in rows.items():
        assert list(read_metadata_csv(folder / f"clotho_metadata_{split}.csv")) == [name for name, _ in names]
    captions, audio_of_caption = Clotho(os.environ["CLOTHO_ROOT"]).read_captions()
    assert len(captions) == 29645
    assert np.bincount(audio_of_caption).tolist() == [5] * 5929
