"""Shards in object storage and behind http servers, which break and come back."""

import contextlib
import json
import re
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import webdataset

from common.errors import DataError
from datamodules.shards import packing
from datamodules.shards.format import Recording, read_index
from datamodules.shards.remote import Member, read_wavs
from datamodules.streamed_shards import StreamedShards
from tests.support.streaming import COUNTS, RATE, SECONDS, epoch_of, same, served, streamed

pytestmark = pytest.mark.usefixtures("cache")  # an index is kept there


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


def test_a_broken_connection_is_continued(
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
