"""Streamed shards: what ranks and workers get, in which order; over http too, and when connections break."""

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from cli.__main__ import main
from datamodules.audio import AudioInfo, read_audio
from datamodules.clotho import Clotho
from datamodules.shards.format import read_index
from datamodules.shards.remote import read_wavs
from datamodules.shards.stream import Crops, TrainingStream
from datamodules.streamed_shards import StreamedShards
from tests.support.corpus import Corpus
from tests.support.streaming import COUNTS, RATE, SECONDS, epoch_of, ids, same, served, streamed

pytestmark = pytest.mark.usefixtures("cache")  # an index is kept there


def test_captions_ids_and_tables_are_those_of_the_data_module_that_was_packed(corpus: Corpus, tmp_path: Path) -> None:
    corpus.audio("development", "dog.wav").write_bytes(b"RIFF, but no audio")
    corpus.audio("development", "wind.wav").unlink()
    corpus.audio("validation", "clock.wav").unlink()
    arguments = ["--data", "Clotho", "--data.root", str(corpus.root), "--sample_rate", str(RATE), "--workers", "1"]
    assert main(["pack", str(tmp_path / "shards"), *arguments, "--shard_size", "3"]) == 0
    theirs = Clotho(
        str(corpus.root),
        batch_size=2,
        max_seconds=SECONDS,
        sample_rate=RATE,
        packed=str(tmp_path / "shards"),
        num_workers=0,
        seed=0,
    )
    ours = StreamedShards(
        str(tmp_path / "shards"), batch_size=2, max_seconds=SECONDS, sample_rate=RATE, num_workers=0, seed=0
    )
    assert ours.read_captions()[0] == theirs.read_captions()[0]
    assert np.array_equal(ours.read_captions()[1], theirs.read_captions()[1])
    assert ours.read_captions()[1].dtype == np.int64
    assert ours.read_names() == theirs.read_names()
    for split in ("train", "validation", "test"):
        assert np.array_equal(ours.caption_ids(split), theirs.caption_ids(split))
    for data in (ours, theirs):
        for stage in ("fit", "test"):
            data.setup(stage)
    for split in ("train", "validation", "test"):
        assert ours.tables[split].captions.equals(theirs.tables[split].captions)
        assert ours.tables[split].manifest() == theirs.tables[split].manifest()
        for column in ("audio_id", "name", "path", "frames", "sample_rate", "offset"):
            assert ours.tables[split].audio[column].equals(theirs.tables[split].audio[column]), column
    assert ours.tables["train"].missing == ("dog.wav", "wind.wav")
    evaluated = {
        name: row for batch in ours.test_dataloader() for name, row in zip(batch.names, batch.waveforms, strict=True)
    }
    for batch in theirs.test_dataloader():
        for name, waveform in zip(batch.names, batch.waveforms, strict=True):
            length = min(len(waveform), len(evaluated[name]))
            assert torch.equal(evaluated[name][:length], waveform[:length])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_crop_and_its_caption_are_drawn_from_seed_epoch_and_recording(folder: Path, workers: int) -> None:
    """Against reads at random, of the same bytes."""
    data = streamed(folder, workers=workers)
    captions, audio_ids = data.read_captions()
    index = read_index(folder, RATE)
    for batch in epoch_of(data, 2):
        for row, (name, audio_id) in enumerate(zip(batch.names, batch.audio_ids.tolist(), strict=True)):
            audio = index["train", name]
            position = np.random.default_rng((3, 2, audio_id)).random()
            info = AudioInfo(audio.frames, RATE)
            crop = read_audio(audio.shard, info, RATE, max_seconds=SECONDS, position=position, offset=audio.offset)
            assert torch.equal(batch.waveforms[row][: batch.lengths[row]], torch.from_numpy(crop))
            caption = int(batch.caption_ids[row])
            assert captions[caption] == batch.captions[row]
            assert audio_ids[caption] == audio_id


def test_each_caption_of_a_recording_comes_once_before_any_comes_again(folder: Path) -> None:
    table = streamed(folder).tables["train"]
    stream = TrainingStream(table, Crops(RATE, None, True, seed=3), 44, 4, 1, 0, 5)
    orders = set()
    for row in range(len(table.audio)):
        rows = table.caption_rows(row)
        for cycle in range(2):
            drawn = [stream.captions_of(row, len(rows) * cycle + i)[0] for i in range(len(rows))]
            assert sorted(drawn) == list(rows)
            orders.add(tuple(caption - rows.start for caption in drawn))
    assert len(orders) > 20


@pytest.mark.parametrize(("ranks", "workers"), [(1, 0), (2, 0), (2, 2), (3, 2)])
def test_ranks_and_workers_share_an_epoch_and_the_next_is_another(folder: Path, ranks: int, workers: int) -> None:
    epochs = []
    for epoch in range(2):
        batches = [epoch_of(streamed(folder, rank, ranks, workers), epoch) for rank in range(ranks)]
        expected = COUNTS["train"] // (4 * ranks)
        assert [len(part) for part in batches] == [expected] * ranks
        assert all(len(batch.names) == 4 for part in batches for batch in part)
        seen = [number for part in batches for number in ids(part)]
        assert len(seen) == len(set(seen)) == expected * 4 * ranks  # none twice, the last incomplete batch left out
        epochs.append(seen)
    assert epochs[0] != epochs[1]
    assert len(streamed(folder, 0, ranks, workers).train_dataloader()) == expected


@pytest.mark.parametrize(("ranks", "workers"), [(1, 0), (2, 2), (3, 1), (5, 2)])
def test_evaluation_is_every_recording_once_when_repeats_are_dropped(folder: Path, ranks: int, workers: int) -> None:
    for split in ("validation", "test"):
        loaders = [
            getattr(streamed(folder, rank, ranks, workers), f"{split[:4].removesuffix('i')}_dataloader")()
            for rank in range(ranks)
        ]
        batches = [list(loader) for loader in loaders]
        assert [len(loader) for loader in loaders] == [len(part) for part in batches]
        counts = [len(ids(part)) for part in batches]
        assert counts == [-(-COUNTS[split] // ranks)] * ranks
        table = streamed(folder).tables[split]
        assert {number for part in batches for number in ids(part)} == set(table.audio["audio_id"].to_pylist())
        for batch in itertools.chain(*batches):  # all captions of each
            expected = [len(table.caption_rows(table.audio["name"].to_pylist().index(name))) for name in batch.names]
            assert torch.bincount(batch.caption_audio).tolist() == expected


def test_what_is_embedded_already_is_left_out_of_predict(folder: Path) -> None:
    data = streamed(folder)
    names = data.tables["test"].audio["name"].to_pylist()
    data.leave_out(names[:4])
    assert sorted(name for batch in data.predict_dataloader() for name in batch.names) == sorted(names[4:])
    data.leave_out(names)
    assert list(data.predict_dataloader()) == []


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [1, 4, 10])
def test_a_resumed_epoch_goes_on_with_the_very_next_batch(folder: Path, workers: int, done: int) -> None:
    whole = epoch_of(streamed(folder, workers=workers), 1)
    assert len(whole) == 11
    rest = epoch_of(streamed(folder, workers=workers), 1, done)
    assert len(rest) == 11 - done
    assert all(same(ours, theirs) for ours, theirs in zip(rest, whole[done:], strict=True))


def test_a_resumed_epoch_does_not_read_what_is_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, read = streamed(folder), []
    monkeypatch.setattr("datamodules.shards.stream.read_wavs", lambda *of: read.append(of[0]) or read_wavs(*of))
    epoch_of(data, 1)
    assert len(read) == len(set(read)) == 8
    read.clear()
    epoch_of(data, 1, 8)
    assert len(read) < 4


@pytest.mark.slow
def test_the_next_epoch_follows_in_the_same_workers(folder: Path) -> None:
    """Lightning sets the epoch of the sampler; a dataset in a worker would not hear of it."""
    loader = streamed(folder, workers=2).train_dataloader()
    for epoch in (0, 1, 2):
        loader.batch_sampler.sampler.set_epoch(epoch)  # type: ignore[union-attr]
        expected = epoch_of(streamed(folder, workers=2), epoch)
        assert all(same(ours, theirs) for ours, theirs in zip(loader, expected, strict=True))


def test_no_audio_is_read_where_none_is_wanted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = streamed(folder)
    expected = [batch.caption_ids.tolist() for batch in epoch_of(data, 0)]
    monkeypatch.setattr("datamodules.shards.stream.read_wavs", None)
    data.decode_audio = False
    batches = epoch_of(data, 0)
    assert [batch.caption_ids.tolist() for batch in batches] == expected
    assert {batch.waveforms.shape for batch in batches} == {(4, 1)}


@pytest.mark.slow
def test_train_and_test_on_streamed_shards(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(folder) as url:
        options = {
            "config": "demo_infonce",
            "data": "StreamedShards",
            "data.shards": url,
            "data.batch_size": 8,
            "data.max_seconds": 0.1,
            "data.num_workers": 2,
            "run.root": tmp_path,
            "trainer.max_epochs": 2,
            "trainer.accelerator": "cpu",
            "trainer.enable_progress_bar": "false",
            "trainer.enable_model_summary": "false",
            "trainer.log_every_n_steps": 1,
        }
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        assert main(["fit", *arguments]) == 0
    run = tmp_path / "demo_infonce" / "0"
    facts = json.loads((run / "provenance.json").read_text())
    assert facts["fit"]["steps"] == 2 * (COUNTS["train"] // 8)
    assert facts["test"]["data"]["test"]["clips"] == COUNTS["test"]
    assert {row["pool_size"] for row in pq.read_table(run / "queries_test.parquet").to_pylist()} >= {COUNTS["test"]}
    capsys.readouterr()
    arguments += ["--data.num_workers", "1", "--run.resume", "true", "--trainer.max_epochs", "3"]
    with served(folder, port=int(url.rpartition(":")[2])):
        assert main(["fit", *arguments]) == 1
    assert "error: data.num_workers is 1, but was 2 before: batches of streamed shards depend on it; give 2" in (
        capsys.readouterr().err
    )
