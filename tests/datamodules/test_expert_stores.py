"""Stores of features: written, read into batches, and refused where they do not fit."""

import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.errors import DataError
from datamodules.audio_folder import AudioFolder
from datamodules.clotho import Clotho
from datamodules.experts.store import (
    FRAMES,
    RECORDINGS,
    ExpertStore,
    Recording,
    captions_checksum,
    sha256_of,
    write_store,
)
from datamodules.mixture import Mixture
from tests.support.corpus import Corpus, write_corpus
from tests.support.expert_features import FACTS, made_up, write_features


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return write_corpus(tmp_path / "clotho")


def with_experts(corpus: Corpus, **experts: Path) -> Clotho:
    return Clotho(
        str(corpus.root), experts={name: str(path) for name, path in experts.items()}, num_workers=0, batch_size=2
    )


def test_batches_carry_frames_and_no_audio_is_needed(corpus: Corpus, tmp_path: Path) -> None:
    plain = Clotho(str(corpus.root))
    a = write_features(plain, tmp_path / "a", "a", dim=3)
    b = write_features(plain, tmp_path / "b", "b", dim=5, without=["two.wav"])
    for file in corpus.root.glob("clotho_audio_files/*/*.wav"):
        file.unlink()
    data = with_experts(corpus, b=b, a=a)
    data.setup("fit")
    data.setup("test")
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        for batch in loader:
            assert list(batch.experts) == ["a", "b"]
            assert batch.waveforms.shape[1] == 1
            for row, name in enumerate(batch.names):
                for expert, dim in (("a", 3), ("b", 5)):
                    frames = batch.experts[expert]
                    length = int(frames.lengths[row])
                    wanted = made_up(name, dim)[: 0 if (expert, name) == ("b", "two.wav") else None]
                    np.testing.assert_array_equal(frames.values[row, :length], wanted)
                    assert not frames.values[row, length:].any()


def test_a_recording_in_no_store_is_left_out_and_named(
    corpus: Corpus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = Clotho(str(corpus.root))
    gone = plain.annotations("train")[0].name
    other = plain.annotations("train")[1].name
    a = write_features(plain, tmp_path / "a", "a", without=[gone])
    b = write_features(plain, tmp_path / "b", "b", without=[gone, other])
    data = with_experts(corpus, a=a, b=b)
    with caplog.at_level(logging.WARNING):
        table = data.read_split("train")
    assert gone not in table.audio["name"].to_pylist()
    assert other in table.audio["name"].to_pylist()
    assert table.manifest()["missing"] == [gone]
    assert repr(gone) in caplog.text
    whole = plain.read_split("train")
    rows = dict(zip(whole.audio["name"].to_pylist(), whole.audio["audio_id"].to_pylist(), strict=True))
    assert table.audio["audio_id"].to_pylist() == [rows[name] for name in table.audio["name"].to_pylist()]


def test_the_manifest_holds_the_facts_of_the_stores(corpus: Corpus, tmp_path: Path) -> None:
    a = write_features(Clotho(str(corpus.root)), tmp_path / "a", "a")
    facts = with_experts(corpus, a=a).read_split("test").manifest()["experts"]["a"]
    assert facts == [json.loads((a / "facts.json").read_text())]
    assert facts[0]["sample_rate"] == 16_000
    assert "experts" not in Clotho(str(corpus.root)).read_split("test").manifest()


def test_a_store_of_another_data_set_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    a = write_features(Clotho(str(corpus.root)), tmp_path / "a", "a")
    file = corpus.caption_file("evaluation")
    file.write_text(file.read_text(encoding="utf-8").replace("heard 1 times", "heard once"), encoding="utf-8")
    with pytest.raises(DataError, match=r"/a: is a store of another data set: '.*' has other captions there"):
        with_experts(corpus, a=a).read_split("test")

    lines = file.read_text(encoding="utf-8").splitlines()
    renamed = [lines[0], *(f"x{number}.wav,{line.partition(',')[2]}" for number, line in enumerate(lines[1:]))]
    file.write_text("\n".join(renamed) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"/a: lists none of the \d+ test recordings, so it is a store of another data"):
        with_experts(corpus, a=a).read_split("test")


def test_damaged_and_foreign_stores_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    a = write_features(Clotho(str(corpus.root)), tmp_path / "a", "a")
    with pytest.raises(DataError, match=r"holds features of expert 'a', but data.experts calls it 'vggish'"):
        with_experts(corpus, vggish=a).read_split("test")
    with pytest.raises(DataError, match=r"gone: no such store of features; make one with"):
        with_experts(corpus, a=tmp_path / "gone").read_split("test")
    content = bytearray((a / FRAMES).read_bytes())
    content[-1] ^= 1
    (a / FRAMES).write_bytes(content)
    with pytest.raises(DataError, match=r"frames.npy: is damaged \(its checksum"):
        with_experts(corpus, a=a).read_split("test")
    (a / FRAMES).unlink()
    with pytest.raises(DataError, match=r"frames.npy: cannot be read \(No such file"):
        ExpertStore(a)
    (a / "facts.json").write_text("{")
    with pytest.raises(DataError, match=r"facts.json: cannot be read"):
        ExpertStore(a)
    (a / "facts.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match=r"is not that of a store of format 1"):
        ExpertStore(a)
    (a / "facts.json").unlink()
    with pytest.raises(DataError, match=r"/a: is not a finished store"):
        ExpertStore(a)


def replaced(name: str, rows: list[int]) -> Callable[[Path], None]:
    """Writes other numbers into a column of the table of recordings."""

    def damage(store: Path) -> None:
        table = pq.read_table(store / RECORDINGS)
        number = table.column_names.index(name)
        pq.write_table(table.set_column(number, name, pa.array(rows[: len(table)], pa.int64())), store / RECORDINGS)

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (replaced("first", [*range(12), 10_000]), r"the frames of 'dog.wav' are not among the \d+ of frames.npy"),
        (replaced("frames", [-1] * 13), r"the frames of 'rain on a roof.wav' are not among"),
        (lambda store: pq.write_table(pa.table({"split": ["a"]}), store / RECORDINGS), "cannot be read"),
        (lambda store: np.save(store / FRAMES, np.array([[None]])), r"cannot be read \(Array can't be memory-mapped"),
        (lambda store: np.save(store / FRAMES, np.zeros((40, 4), np.int32)), r"has shape \(40, 4\) and type int32"),
        (lambda store: np.save(store / FRAMES, np.zeros((40, 5), np.float32)), r"speaks of 4 dimensions, but"),
        (lambda store: (store / FRAMES).write_bytes(b"PK\x03\x04"), "cannot be read"),
    ],
)
def test_files_that_contradict_each_other_are_refused(
    damage: Callable[[Path], None], message: str, corpus: Corpus, tmp_path: Path
) -> None:
    store = write_features(Clotho(str(corpus.root)), tmp_path / "a", "a")
    damage(store)
    facts = json.loads((store / "facts.json").read_text())
    facts["sha256"] = {name: sha256_of(store / name) for name in (FRAMES, RECORDINGS)}
    (store / "facts.json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match=rf"/a: .*{message}.*; extract or import it again"):
        ExpertStore(store)
    (store / "facts.json").write_text(json.dumps({**facts, "sha256": "x"}))
    with pytest.raises(DataError, match=r"is not that of a store of format 1"):
        ExpertStore(store)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("workers", [0, 1])
def test_frames_that_are_no_numbers_are_named(value: float, workers: int, corpus: Corpus, tmp_path: Path) -> None:
    recordings = [*Clotho(str(corpus.root)).recordings("test")]
    frames = np.zeros((len(recordings), 4), np.float16)
    frames[1, 2] = value
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a" / FRAMES, frames)
    write_store(tmp_path / "a", recordings, [1] * len(recordings), {"expert": "a", **FACTS})
    data = Clotho(str(corpus.root), experts={"a": str(tmp_path / "a")}, num_workers=workers, batch_size=2)
    data.setup("test")
    with pytest.raises(DataError, match=rf"/a: the frames of '{recordings[1].name}' hold NaN or inf; extract or"):
        list(data.test_dataloader())


def test_empty_and_repeated_recordings_make_no_store(tmp_path: Path) -> None:
    np.save(tmp_path / FRAMES, np.zeros((2, 3), np.float32))
    with pytest.raises(DataError, match="has nothing of any recording"):
        write_store(tmp_path, [], [], {"expert": "a"})
    twice = Recording("test", "x.wav", captions_checksum(["x"]))
    with pytest.raises(DataError, match=r"recording 'x.wav' of test comes twice"):
        write_store(tmp_path, [twice, twice], [1, 1], {"expert": "a"})


@pytest.mark.slow
def test_a_store_in_another_process_takes_no_frames_along(corpus: Corpus, tmp_path: Path) -> None:
    store = ExpertStore(write_features(Clotho(str(corpus.root)), tmp_path / "a", "a", dim=4096))
    pickled = pickle.dumps(store)
    assert len(pickled) < store.frames.nbytes / 4
    key = next(iter(store.rows))
    np.testing.assert_array_equal(pickle.loads(pickled).of(*key), store.of(*key))


def test_a_mixture_joins_the_stores_of_its_parts(tmp_path: Path) -> None:
    parts, stores = [], []
    for name in ("one", "two"):
        corpus = write_corpus(tmp_path / name)
        stores.append(write_features(Clotho(str(corpus.root)), tmp_path / f"{name}_a", "a"))
        parts.append(with_experts(corpus, a=stores[-1]))
    data = Mixture([*parts], judge=1, num_workers=0, batch_size=4)
    data.setup("fit")
    table = data.tables["train"]
    for row, name in enumerate(table.audio["name"].to_pylist()):
        np.testing.assert_array_equal(table.experts["a"].of(row), made_up(name.partition("/")[2], 4))
    assert next(iter(data.train_dataloader())).experts["a"].values.shape[2] == 4

    write_features(Clotho(str(tmp_path / "two")), tmp_path / "other", "a", sample_rate=32_000)
    parts[1] = with_experts(Corpus(tmp_path / "two"), a=tmp_path / "other")
    with pytest.raises(DataError, match=r"other: sample_rate of expert 'a' is 32000, but 16000 in"):
        Mixture([*parts], num_workers=0).read_split("train")
    with pytest.raises(DataError, match=r"data.parts: each needs the same experts \(a\)"):
        Mixture([parts[0], Clotho(str(tmp_path / "two"))], num_workers=0).read_split("train")


def test_a_folder_of_recordings_is_taken_from_a_store(tmp_path: Path) -> None:
    recordings = [Recording("test", f"{i}.wav", captions_checksum([])) for i in range(3)]
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a" / FRAMES, np.arange(8, dtype=np.float32).reshape(4, 2))
    write_store(tmp_path / "a", recordings, [1, 2, 1], {"expert": "a", **FACTS})
    data = AudioFolder(str(tmp_path / "nowhere"), experts={"a": str(tmp_path / "a")}, num_workers=0, batch_size=8)
    data.setup("predict")
    assert list(data.predict_files()) == ["0.wav", "1.wav", "2.wav"]
    data.leave_out(["0.wav"])
    (batch,) = data.predict_dataloader()
    assert batch.names == ["1.wav", "2.wav"]
    assert batch.audio_ids.tolist() == [1, 2]
    assert batch.experts["a"].values.tolist() == [[[2, 3], [4, 5]], [[6, 7], [0, 0]]]
