"""Packing of what is odd, and packs that are damaged."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from cli.__main__ import main
from common.errors import DataError
from datamodules.audio import read_audio, read_info
from datamodules.batch import Batch
from datamodules.clotho import Clotho
from datamodules.shards.checks import other_recording
from datamodules.streamed_shards import StreamedShards
from tests.support.corpus import Corpus

Refused = Callable[[Callable[[], object]], str]
RATE = 16_000


def pack(corpus: Corpus, folder: Path, *options: str) -> int:
    arguments = [str(folder), "--data", "Clotho", "--data.root", str(corpus.root), "--sample_rate", str(RATE)]
    return main(["pack", *arguments, "--workers", "1", "--shard_size", "3", *options])


@pytest.mark.parametrize("peak", [1.2, 3.0, 31.0])
def test_loud_audio_comes_out_of_a_shard_as_loud(corpus: Corpus, tmp_path: Path, peak: float) -> None:
    path = corpus.audio("evaluation", "sea.wav")
    samples = np.random.default_rng(0).uniform(-peak, peak, RATE).astype(np.float32)
    samples[7] = peak
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    folder = tmp_path / "shards"
    assert pack(corpus, folder) == 0
    files, shards = (
        Clotho(str(corpus.root), sample_rate=RATE, num_workers=0, packed=packed) for packed in (None, str(folder))
    )
    streamed = StreamedShards(str(folder), sample_rate=RATE, num_workers=0)
    batches: list[Batch] = []
    for data in (files, shards, streamed):
        data.setup("test")
        batches += data.test_dataloader()
    for batch in batches:
        rows = {name: batch.waveforms[row, : batch.lengths[row]].numpy() for row, name in enumerate(batch.names)}
        np.testing.assert_allclose(rows["sea.wav"], samples, atol=2 * peak / 32768)
        quiet = corpus.audio("evaluation", "dog.wav")
        expected = read_audio(quiet, read_info(quiet), RATE)
        np.testing.assert_allclose(rows["dog.wav"], expected, atol=0.5001 / 32768)
    gains = dict(
        zip(*pq.read_table(folder / "index.parquet", columns=["name", "gain"]).to_pydict().values(), strict=True)
    )
    assert gains["sea.wav"] == {1.2: 2, 3.0: 4, 31.0: 32}[peak]
    assert gains["crowd.wav"] == 1
    for shard in folder.glob("*.tar"):
        with tarfile.open(shard) as archive:
            about = [json.load(archive.extractfile(name)) for name in archive.getnames() if name.endswith("json")]  # type: ignore[arg-type]
        for each in about:
            assert each.get("gain", 1) == gains[each["name"]] or each["name"] == "dog.wav"


def test_shards_of_an_older_packing_are_as_loud_as_they_were(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    assert pack(corpus, folder) == 0
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.drop_columns(["gain"]), path)
    old = Clotho(str(corpus.root), sample_rate=RATE, num_workers=0, packed=str(folder))
    old.setup("test")
    assert set(old.tables["test"].audio["gain"].to_pylist()) == {1.0}
    next(folder.glob("*000.tar")).unlink()
    assert pack(corpus, folder) == 0  # one new shard beside old ones
    assert set(StreamedShards(str(folder)).index()[0]["gain"].to_pylist()) == {1.0}


@pytest.mark.parametrize("content", ["", '{"format": 3, "recor', "[]", "null", "[" * 100_000, "\x00\x01"])
def test_a_damaged_plan_is_one_line(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    folder = tmp_path / "shards"
    assert pack(corpus, folder) == 0
    (folder / "plan.json").write_text(content)
    capsys.readouterr()
    assert pack(corpus, folder) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: {folder / 'plan.json'}: is damaged, so what is beside it is not known; delete")
    assert message.count("\n") == 1


def test_an_index_without_rows_leads_to_packing(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    assert pack(corpus, folder) == 0
    pq.write_table(pq.read_table(folder / "index.parquet").slice(0, 0), folder / "index.parquet")
    data = Clotho(str(corpus.root), sample_rate=RATE, num_workers=0, packed=str(folder))
    with pytest.raises(
        DataError, match=r"shards: 6 of 6 annotated .*; pack this data set into it with `audio-rel.* pa"
    ):
        data.read_split("train")


def test_without_its_plan_shards_of_others_are_packed_again(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    assert pack(corpus, folder, "--shard_size", "2") == 0
    (folder / "plan.json").unlink()
    assert pack(corpus, folder) == 0
    assert len(pq.read_table(folder / "index.parquet")) == 13


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("sample_rate", 2_000_000_000, "give at most 1,000,000"),  # would fill the disk
        ("sample_rate", 1, "give at least 1000"),  # the resampler would not end
        ("workers", 100_000, "give at most "),
    ],
)
def test_numbers_that_the_machine_could_not_bear_are_refused(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: int, remedy: str
) -> None:
    with pytest.raises(SystemExit):
        pack(corpus, tmp_path / "shards", f"--{option}", str(value))
    assert f"{option} is {value}; {remedy}" in capsys.readouterr().err
    assert not (tmp_path / "shards").exists()


@pytest.mark.parametrize("rate", [2_000_000_000, 1_000_001])
def test_a_rate_of_data_beyond_all_recorders_is_refused(corpus: Corpus, refused: Refused, rate: int) -> None:
    message = refused(lambda: Clotho(str(corpus.root), sample_rate=rate))
    assert message == f"data.sample_rate is {rate} Hz; give a number from 1 to 1000000"


def test_what_a_shard_says_of_itself_may_be_anything() -> None:
    assert other_recording(b"[" * 100_000, "train", "a") == "it holds something else instead of 'a' (train)"


def test_clips_that_are_no_numbers_are_named_before_training_goes_wrong(corpus: Corpus, refused: Refused) -> None:
    path = corpus.audio("development", "wind.wav")
    for value in (1e30, 3e29, np.nan):
        soundfile.write(path, np.full(RATE, value, np.float32), RATE, subtype="FLOAT")
        data = Clotho(str(corpus.root), batch_size=2, sample_rate=RATE, num_workers=0)
        data.setup("fit")
        with pytest.raises(DataError) as caught:
            list(data.train_dataloader())
        assert str(caught.value).startswith(f"{path}: holds ")


def test_a_stream_can_be_packed(corpus: Corpus, tmp_path: Path) -> None:
    path = corpus.audio("development", "wind.wav")
    buffer = io.BytesIO(path.read_bytes())
    content = bytearray(buffer.getvalue())
    content[40:44] = bytes(4)  # the length of the samples
    expected = read_audio(path, read_info(path), RATE)
    path.write_bytes(content)
    assert pack(corpus, tmp_path / "shards") == 0
    data = Clotho(str(corpus.root), batch_size=2, sample_rate=RATE, packed=str(tmp_path / "shards"), num_workers=0)
    data.setup("fit")
    row = data.tables["train"].audio["name"].to_pylist().index("wind.wav")
    assert data.tables["train"].info(row).frames == len(expected)
