"""What is no packed data set, or not the one that its index describes, is refused in one line."""

import re
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from datamodules.streamed_shards import StreamedShards
from tests.support.streaming import COUNTS, RATE, refusal, served, streamed

pytestmark = pytest.mark.usefixtures("cache")  # an index is kept there


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
    assert setup(shuffle_buffer=0) == "data.shuffle_buffer is 0; give a number from 1"
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
    assert "the embeddings of teachers are kept only for" in refusal(lambda: data.beginnings(8000, None))
