"""Streamed shards: what ranks and workers get, in which order; over http too, and when connections break."""

import contextlib
import functools
import http.server
import itertools
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from cli.commands import pack as door
from common.errors import DataError
from datamodules.audio import AudioInfo, read_audio
from datamodules.batch import Batch
from datamodules.clotho import Clotho
from datamodules.sampling.stream_order import (
    StreamSampler,
    batches_of_turns,
    part_bounds,
    shuffled_shards,
    shuffled_within,
)
from datamodules.shards import packing
from datamodules.shards.format import Recording, read_index
from datamodules.shards.remote import Member, read_wavs
from datamodules.shards.stream import Crops, TrainingStream
from datamodules.streamed_shards import StreamedShards
from tests.conftest import Corpus
from train import main

RATE = 16000
COUNTS = {"train": 47, "validation": 9, "test": 11}
SECONDS = 0.05  # crops


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed data set of short noises, six a shard; one to five captions each."""
    place = tmp_path_factory.mktemp("packed")
    rng = np.random.default_rng(0)
    recordings: list[Recording] = []
    for split, count in COUNTS.items():
        for number in range(count):
            path = place / f"{split}_{number}.wav"
            soundfile.write(path, 0.2 * rng.standard_normal(rng.integers(400, 3000)), RATE)
            captions = [f"{split} {number}, caption {i}" for i in range(1 + number % 5)]
            recordings.append(Recording(len(recordings), split, path.name, captions, path))
    packing.pack(recordings, place / "shards", RATE, 6, 1)
    return place / "shards"


def streamed(
    shards: Path | str, rank: int = 0, ranks: int = 1, workers: int = 0, batch_size: int = 4
) -> StreamedShards:
    data = StreamedShards(
        str(shards), batch_size=4, max_seconds=SECONDS, sample_rate=RATE, shuffle_buffer=5, num_workers=workers, seed=3
    )
    data._ranks = lambda: (rank, ranks)  # type: ignore[method-assign]
    for stage in ("fit", "test"):
        data.setup(stage)
    return data


def epoch_of(data: StreamedShards, epoch: int, done: int = 0) -> list[Batch]:
    loader = data.train_dataloader()
    loader.batch_sampler.resume(epoch, done)  # type: ignore[union-attr]
    return list(loader)


def ids(batches: list[Batch]) -> list[int]:
    return [int(i) for batch in batches for i in batch.audio_ids]


def same(ours: Batch, theirs: Batch) -> bool:
    return (
        torch.equal(ours.waveforms, theirs.waveforms)
        and torch.equal(ours.caption_ids, theirs.caption_ids)
        and (ours.names, ours.captions) == (theirs.names, theirs.captions)
        and torch.equal(ours.audio_ids, theirs.audio_ids)
    )


# ---------------------------------------------------------------------------------------------------- what is read


def test_captions_ids_and_tables_are_those_of_the_data_module_that_was_packed(corpus: Corpus, tmp_path: Path) -> None:
    corpus.audio("development", "dog.wav").write_bytes(b"RIFF, but no audio")
    corpus.audio("development", "wind.wav").unlink()
    corpus.audio("validation", "clock.wav").unlink()
    arguments = ["--data", "Clotho", "--data.root", str(corpus.root), "--sample_rate", str(RATE), "--workers", "1"]
    assert door.main([str(tmp_path / "shards"), *arguments, "--shard_size", "3"]) == 0
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


# ------------------------------------------------------------------------------------------------------- who reads it


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


# ----------------------------------------------------------------------------------------------------------- the order


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 99))
def test_a_shuffle_holds_no_more_than_its_buffer(count: int, buffer: int, seed: int) -> None:
    rows = np.arange(100, 100 + count)
    given_rows = shuffled_within(rows, buffer, (seed,)).tolist()
    assert sorted(given_rows) == rows.tolist()
    for already, row in enumerate(given_rows):
        read = row - 100 + 1  # at least so many must have been read to give this one
        assert read - already <= buffer
    if buffer == 1:
        assert given_rows == rows.tolist()


def test_a_shuffle_reaches_far() -> None:
    moved = [np.abs(shuffled_within(np.arange(200), 50, (seed,)) - np.arange(200)).mean() for seed in range(20)]
    assert 25 < np.mean(moved) < 50


@given(st.lists(st.integers(1, 7), min_size=1, max_size=9), st.integers(0, 50))
def test_shards_are_shuffled_as_wholes(sizes: list[int], epoch: int) -> None:
    shard_of_row = np.repeat(np.arange(len(sizes)), sizes)
    order = shuffled_shards(shard_of_row, 1, epoch)
    blocks = [list(group) for _, group in itertools.groupby(order.tolist(), key=lambda row: shard_of_row[row])]
    assert sorted(blocks) == [np.flatnonzero(shard_of_row == shard).tolist() for shard in range(len(sizes))]


@given(st.integers(0, 70), st.integers(1, 9), st.integers(1, 5), st.data())
def test_each_part_is_asked_for_from_its_beginning_to_its_end(
    count: int, batch_size: int, parts: int, data: st.DataObject
) -> None:
    """By the worker whose turn it is, and batches that are done are left out."""
    bounds = part_bounds(count, batch_size, parts)
    assert (bounds[0], bounds[-1], len(bounds)) == (0, count, parts + 1)
    batches = list(batches_of_turns(count, batch_size, parts, epoch=7))
    assert [len(batch) for batch in batches] == [min(batch_size, count - i) for i in range(0, count, batch_size)]
    for part in range(parts):
        places = [turn.place for batch in batches for turn in batch if turn.part == part]
        assert places == list(range(bounds[part + 1] - bounds[part]))
    assert all({turn[:2] for turn in batch} == {(7, number % parts)} for number, batch in enumerate(batches))
    done = data.draw(st.integers(0, len(batches)))
    assert list(batches_of_turns(count, batch_size, parts, 7, done)) == batches[done:]


def test_a_sampler_leaves_out_what_is_done_in_the_first_epoch_only() -> None:
    sampler = StreamSampler(5, 2, 2)
    whole = list(sampler)
    sampler.resume(0, 3)
    assert (list(sampler), len(sampler)) == (whole[3:], 5)
    sampler.sampler.set_epoch(1)
    assert [turn.epoch for batch in sampler for turn in batch] == [1] * 10


# ------------------------------------------------------------------------------------------------------- object storage


class Handler(http.server.SimpleHTTPRequestHandler):
    """Python's own server, which sends whole files only; and, made to, parts of them, and halves before it hangs up."""

    ranges, breaks = False, 0

    def send_head(self):  # type: ignore[no-untyped-def]
        begin, _, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if not (type(self).ranges and begin):
            return super().send_head()
        content = Path(self.translate_path(self.path)).read_bytes()
        part = content[int(begin) : int(end) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {begin}-{int(begin) + len(part) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "GET" and type(self).breaks:
            type(self).breaks -= 1
            self.close_connection = True
            part = part[: len(part) // 2]
        self.wfile.write(part)

    def log_message(self, *about: object) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path, ranges: bool = True, breaks: int = 0, port: int = 0) -> Iterator[str]:
    handler = type("Served", (Handler,), {"ranges": ranges, "breaks": breaks})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), functools.partial(handler, directory=str(folder)))
    server.handle_error = lambda *about: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def long_shard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Member], list[bytes]]:
    """A shard longer than what is asked of a server at once (5 MiB): its tar, its recordings, and their wav files."""
    place = tmp_path_factory.mktemp("long")
    rng = np.random.default_rng(0)
    recordings = []
    for number in range(5):
        path = place / f"{number}.wav"
        soundfile.write(path, rng.integers(-9999, 9999, 50 * RATE).astype(np.int16), RATE)
        recordings.append(Recording(number, "train", path.name, ["a sound"], path))
    packing.pack(recordings, place / "shards", RATE, 5, 1)
    rows = pq.read_table(place / "shards" / "index.parquet").sort_by("offset").to_pylist()
    wavs = [(place / row["name"]).read_bytes() for row in rows]
    return (
        place / "shards" / "shard-000000.tar",
        [Member(*(row[field] for field in Member._fields)) for row in rows],
        wavs,
    )


@pytest.mark.parametrize("wanted", [[0, 1, 2, 3, 4], [1, 4], [4]])
@pytest.mark.parametrize("where", ["folder", "file", "server with ranges", "server without"])
def test_wav_files_out_of_a_shard(
    long_shard: tuple[Path, list[Member], list[bytes]], where: str, wanted: list[int]
) -> None:
    tar, members, wavs = long_shard
    with served(tar.parent, ranges=where == "server with ranges") as url:
        place = {"folder": str(tar.parent), "file": tar.parent.as_uri()}.get(where, url)
        found = list(read_wavs(f"{place}/{tar.name}", [members[i] for i in wanted]))
    assert found == [wavs[i] for i in wanted]


def test_a_broken_connection_is_taken_up_again(
    long_shard: tuple[Path, list[Member], list[bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    tar, members, wavs = long_shard
    with served(tar.parent, breaks=3) as url:
        assert list(read_wavs(f"{url}/{tar.name}", members, pause=0.0)) == wavs
    assert sum("trying again" in record.getMessage() for record in caplog.records) == 3
    with served(tar.parent, breaks=100) as url, pytest.raises(DataError) as caught:
        list(read_wavs(f"{url}/{tar.name}", members, pause=0.0))
    assert re.fullmatch(
        r"http://\S+/shard-000000.tar: cannot be read \(.*\); copy it there again, or .*", str(caught.value)
    )


@pytest.mark.parametrize("ranges", [True, False])
def test_over_http_the_batches_are_those_of_the_folder(folder: Path, ranges: bool, cache: Path) -> None:
    expected = streamed(folder, 1, 2, workers=2)
    with served(folder, ranges) as url:
        data = StreamedShards(
            url + "/", batch_size=4, max_seconds=SECONDS, sample_rate=RATE, shuffle_buffer=5, num_workers=2, seed=3
        )
        data.prepare_data()
        data._ranks = lambda: (1, 2)  # type: ignore[method-assign]
        for stage in ("fit", "test"):
            data.setup(stage)
        loaders = (lambda of: of.train_dataloader(), lambda of: of.val_dataloader(), lambda of: of.test_dataloader())
        for loader in loaders:
            assert all(same(ours, theirs) for ours, theirs in zip(loader(data), loader(expected), strict=True))
        (kept,) = (cache / "streamed").iterdir()
        assert kept.read_bytes() == (folder / "index.parquet").read_bytes()
    again = StreamedShards(url, batch_size=4, max_seconds=SECONDS, sample_rate=RATE)
    assert again.read_captions()[0] == data.read_captions()[0]  # another process of this machine has fetched it


def test_a_server_that_is_away_for_a_while_is_asked_again(
    long_shard: tuple[Path, list[Member], list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tar, members, wavs = long_shard
    with contextlib.ExitStack() as stack:
        with served(tar.parent) as url:
            port = int(url.rpartition(":")[2])
        pauses: list[float] = []

        def wait(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                stack.enter_context(served(tar.parent, port=port))

        monkeypatch.setattr("datamodules.shards.remote.time.sleep", wait)
        assert list(read_wavs(f"{url}/{tar.name}", members)) == wavs
        assert pauses == [1, 2, 4]
        with pytest.raises(DataError, match="no such file, but the index names it"):
            list(read_wavs(f"{url}/{tar.name}.gone", members))  # a server that is there knows
        assert pauses == [1, 2, 4]


def test_any_storage_that_fsspec_knows(folder: Path) -> None:
    bucket = fsspec.filesystem("memory")
    for path in folder.iterdir():
        bucket.pipe_file(f"/bucket/{path.name}", path.read_bytes())
    try:
        theirs = epoch_of(streamed("memory://bucket"), 0)
    finally:
        bucket.rm("/bucket", recursive=True)
    assert all(same(ours, other) for ours, other in zip(epoch_of(streamed(folder), 0), theirs, strict=True))


def test_webdataset_reads_a_shard_by_itself(folder: Path) -> None:
    index = read_index(folder, RATE)
    urls = sorted(map(str, folder.glob("*.tar")))
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert len(samples) == sum(COUNTS.values())
    for sample in samples:
        assert {"wav", "json"} < sample.keys()
        about = json.loads(sample["json"])
        assert len(sample["wav"]) == 44 + 2 * index[about["split"], about["name"]].frames
        assert about["captions"][0] == about["name"].removesuffix(".wav").replace("_", " ") + ", caption 0"


# ------------------------------------------------------------------------------------------------------------- mistakes


def refusal(mistake: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        mistake()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_packed_data_set(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(shards: Path | str) -> str:
        return refusal(lambda: StreamedShards(str(shards), sample_rate=RATE).setup("fit"))

    no_index = "index.parquet: no such file; pack the data set with `audio-relevance pack`, to its end"
    assert read(tmp_path) == f"{tmp_path}/{no_index}"
    with served(tmp_path) as url:
        assert read(url) == f"{url}/{no_index}"
    assert re.match(r"http://127.0.0.1:9/index.parquet: cannot be read \(.+\); check", read("http://127.0.0.1:9"))
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert read("s3://bucket/clotho").startswith("s3://bucket/clotho/index.parquet: cannot be read (Install s3fs")
    assert "cannot be read (Protocol not known: nope)" in read("nope://bucket/clotho")
    (tmp_path / "index.parquet").write_bytes(b"no table")
    assert re.search(r"cannot be read \(.*\); run `audio-relevance pack` again", read(tmp_path))
    old = pq.read_table(folder / "index.parquet").drop_columns(["captions", "audio_id", "key"])
    pq.write_table(old, tmp_path / "index.parquet")
    assert read(tmp_path) == (
        f"{tmp_path}/index.parquet: has no audio_id, as an older version wrote it; pack again, elsewhere"
    )


def test_settings_that_do_not_fit(folder: Path) -> None:
    def setup(**options: Any) -> str:
        return refusal(lambda: StreamedShards(str(folder), **{"sample_rate": RATE, **options}).setup("fit"))

    assert "is packed at 16000 Hz, but the audio encoder wants 32000 Hz; pack the data" in setup(sample_rate=32000)
    assert setup(batch_size=48) == "47 training recordings do not fill one batch of 48; lower data.batch_size"
    assert setup(batch_size=1) == "data.batch_size is 1 on one device: a single pair leaves nothing to rank; raise it"
    assert setup(shuffle_buffer=0) == "data.shuffle_buffer must be at least 1, got 0"
    short = StreamedShards(str(folder), sample_rate=RATE, max_seconds=1e-6, num_workers=0, seed=0)
    short.setup("fit")
    assert "shorter than one sample at 16000 Hz" in refusal(lambda: next(iter(short.train_dataloader())))


def test_a_split_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    table = pq.read_table(folder / "index.parquet").drop_columns("shard_bytes")  # as an older version wrote it
    pq.write_table(table.slice(0, COUNTS["train"]), tmp_path / "index.parquet")
    data = StreamedShards(str(tmp_path), sample_rate=RATE)
    assert data.has_split("train")
    assert len(data.read_split("train").audio) == COUNTS["train"]
    assert not data.has_split("test")
    assert refusal(lambda: data.setup("test")) == f"{tmp_path}: holds no test recordings; pack a data set that has some"


def test_shards_that_are_not_what_the_index_says(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tar, other = tmp_path / "shard-000008.tar", folder / "shard-000000.tar"  # the first of the validation split
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())

    def read() -> str:
        return refusal(lambda: list(streamed(tmp_path).val_dataloader()))

    whole = tar.read_bytes()
    tar.write_bytes(whole[: len(whole) // 2])
    assert re.fullmatch(rf"{tar}: cannot be read \(.+\); copy it there again, or delete .*", read())
    tar.write_bytes(whole[: len(whole) // 1024 * 512 - 512])
    assert read().startswith(f"{tar}: cannot be read (")
    tar.write_bytes(other.read_bytes())
    assert f"{tar}: cannot be read (ends before 000008_000000.wav, which its index names)" in read()
    tar.write_bytes(whole.replace(b'"validation_', b'"validatiom_', 1))  # as of another packing: same keys, same sizes
    assert re.fullmatch(
        rf"{tar}: is not the shard that its index describes \(it holds 'validatiom_(.*)' \(validation\) instead of "
        r"'validation_\1' \(validation\)\); copy it there again, or run the same `audio-relevance pack` again",
        read(),
    )
    assert "instead of" in refusal(streamed(tmp_path).whole_recordings)
    tar.unlink()
    assert read().startswith(f"{tar}: no such file, but the index names it;")
    monkeypatch.setitem(sys.modules, "webdataset", None)
    assert read() == "StreamedShards needs the package webdataset; run `pip install 'audio-relevance[streaming]'`"


def test_embeddings_of_streamed_recordings_are_not_kept(folder: Path) -> None:
    with served(folder) as url:
        data = streamed(url)
    assert f"{url}: the embeddings of a frozen audio encoder are kept only for recordings in a folder" in refusal(
        data.whole_recordings
    )


# --------------------------------------------------------------------------------------------------------- a training


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
    assert "error: data.num_workers is 1, but was 2 before: of streamed shards batches depend on it; give 2" in (
        capsys.readouterr().err
    )
