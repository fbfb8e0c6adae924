"""Shards: what was packed is read back, wherever a crop begins; shards that do not fit their index are refused."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DataError
from datamodules.audio import AudioInfo, read_audio, read_info
from datamodules.clotho import SPLITS, Clotho
from datamodules.shards import packing
from datamodules.shards.format import Recording, read_index, shard_files, write_index, write_shard
from tests.support.corpus import CLIPS, Corpus
from tests.support.packing import RATE, digests, packed, tables


def test_every_recording_comes_out_of_its_shard(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert packed(corpus, tmp_path / "shards") == 0
    said = capsys.readouterr().out
    assert "13 of 13 recordings packed; train on them with --data.packed" in said
    assert "left out" not in said
    index = read_index(tmp_path / "shards", RATE)
    assert len(index) == 13
    for split, clips in CLIPS.items():
        ours = {official: name for name, official in SPLITS.items()}[split]
        for name, *_ in clips:
            path = corpus.audio(split, name)
            whole = read_audio(path, read_info(path), RATE)
            audio = index[ours, name]
            info = AudioInfo(audio.frames, RATE)
            again = read_audio(audio.shard, info, RATE, offset=audio.offset)
            assert again.dtype == np.float32
            np.testing.assert_allclose(again, whole, atol=0.51 / 32768)


def test_any_tar_and_wav_reader_reads_a_shard(corpus: Corpus, tmp_path: Path) -> None:
    packed(corpus, tmp_path / "shards")
    tar, _ = shard_files(tmp_path / "shards", 0)
    with tarfile.open(tar) as archive:
        names = archive.getnames()
        assert names[:4] == ["000000_000000.wav", "000000_000000.json", "000000_000001.wav", "000000_000001.json"]
        samples, rate = soundfile.read(io.BytesIO(archive.extractfile(names[0]).read()))  # type: ignore[union-attr]
        about = json.loads(archive.extractfile(names[1]).read())  # type: ignore[union-attr]
    assert (rate, about["split"]) == (RATE, "train")
    assert about["captions"] == corpus.captions["development"][about["name"]]
    path = corpus.audio("development", about["name"])
    np.testing.assert_allclose(samples, read_audio(path, read_info(path), RATE), atol=0.51 / 32768)


def test_a_shard_holds_one_split_and_the_index_all_that_was_annotated(corpus: Corpus, tmp_path: Path) -> None:
    corpus.audio("development", "dog.wav").write_bytes(b"RIFF, but no audio")
    corpus.audio("validation", "river.wav").unlink()
    packed(corpus, tmp_path / "shards")
    rows = pq.read_table(tmp_path / "shards" / "index.parquet").to_pylist()
    annotated = [
        (split, name, captions)
        for split, official in SPLITS.items()
        for name, captions in corpus.captions[official].items()
    ]
    assert [row["audio_id"] for row in rows] == list(range(13))
    assert [(row["split"], row["name"], row["captions"]) for row in rows] == annotated
    failed = {row["name"]: row["error"] for row in rows if row["error"] is not None}
    assert list(failed) == ["dog.wav", "river.wav"]
    assert failed["river.wav"] == "has no file"
    shards = {(row["shard"], row["split"]) for row in rows if row["error"] is None}
    assert sorted(shards) == [
        ("shard-000000.tar", "train"),  # six recordings, four a shard
        ("shard-000001.tar", "train"),
        ("shard-000002.tar", "validation"),
        ("shard-000003.tar", "test"),
    ]
    for row in rows:
        if row["error"] is None:
            with tarfile.open(tmp_path / "shards" / row["shard"]) as archive:
                assert archive.getmember(f"{row['key']}.wav").offset_data + 44 == row["offset"]


def test_the_order_in_shards_has_no_meaning_and_does_not_hang_on_what_is_there() -> None:
    path = Path("a.wav")
    recordings = [Recording(i, "train", f"source {i // 50}/{i}", [], path) for i in range(100)]
    order = [recording.audio_id for part in packing.shard_parts(recordings, 30) for recording in part]
    assert sorted(order) == list(range(100))
    assert 10 < sum(number < 50 for number in order[:50]) < 40  # of the first source, in the first half
    fewer = [recording._replace(path=None if recording.audio_id % 7 == 0 else path) for recording in recordings]
    of_fewer = [[recording.audio_id for recording in part] for part in packing.shard_parts(fewer, 30)]
    assert of_fewer == [[recording.audio_id for recording in part] for part in packing.shard_parts(recordings, 30)]


def test_the_data_module_gives_the_same_batches_from_shards(corpus: Corpus, tmp_path: Path) -> None:
    packed(corpus, tmp_path / "shards")
    files, shards = tables(corpus, None), tables(corpus, tmp_path / "shards")
    for split in ("train", "validation", "test"):
        for column in ("audio_id", "name"):
            assert files.tables[split].audio[column] == shards.tables[split].audio[column]
        assert files.tables[split].captions.equals(shards.tables[split].captions)
        assert files.tables[split].manifest() == shards.tables[split].manifest()
    loaders = (files.test_dataloader(), shards.test_dataloader())
    for theirs, ours in zip(*loaders, strict=True):
        assert (theirs.names, theirs.captions) == (ours.names, ours.captions)
        assert (theirs.lengths - ours.lengths).abs().max() <= 1
        length = int(min(theirs.lengths.min(), ours.lengths.min()))
        # The resampler sees a crop's end in the one case and the recording continuing in the other.
        middle = slice(0, length - 100)
        np.testing.assert_allclose(ours.waveforms[:, middle], theirs.waveforms[:, middle], atol=1e-3)
    for theirs, ours in zip(files.train_dataloader(), shards.train_dataloader(), strict=True):
        assert theirs.caption_ids.tolist() == ours.caption_ids.tolist()


@given(st.integers(8, 400), st.floats(0, 1), st.one_of(st.none(), st.floats(0.001, 0.06)))
def test_a_crop_is_the_same_from_a_wav_file_and_from_a_shard(
    tmp_path_factory: pytest.TempPathFactory, frames: int, position: float, seconds: float | None
) -> None:
    folder = tmp_path_factory.mktemp("crop")
    samples = np.random.default_rng(frames).integers(-(2**15), 2**15, frames).astype(np.int16)
    soundfile.write(folder / "a.wav", samples, RATE, subtype="PCM_16")
    write_shard(folder, 0, [Recording(0, "train", "a", [], folder / "a.wav")], RATE)
    write_index(folder, 1, RATE)
    audio = read_index(folder, RATE)["train", "a"]
    info = AudioInfo(frames, RATE)
    assert audio.frames == frames
    crops = [
        read_audio(path, info, RATE, max_seconds=seconds, position=position, offset=offset)
        for path, offset in ((folder / "a.wav", None), (audio.shard, audio.offset))
    ]
    assert np.array_equal(crops[0], crops[1])


def test_shards_that_are_not_what_the_index_says_are_refused_at_the_start_and_packed_again(
    corpus: Corpus, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    for clip in range(4):  # of one length, as many data sets are
        soundfile.write(corpus.audio("evaluation", CLIPS["evaluation"][clip][0]), np.zeros(400), RATE)
    packed(corpus, folder)
    whole = digests(folder)
    first, second, validation, test = (shard_files(folder, number)[0] for number in range(4))
    remedy = "copy it there again, or run the same `audio-relevance pack` again"

    def refusal() -> str:
        with pytest.raises(DataError) as caught:
            Clotho(
                str(corpus.root),
                batch_size=2,
                max_seconds=0.5,
                sample_rate=RATE,
                packed=str(folder),
                num_workers=0,
                seed=0,
            ).setup("fit")
        assert packed(corpus, folder) == 0
        assert digests(folder) == whole
        return str(caught.value)

    test.unlink()  # it is the start of a training that says so
    assert refusal() == f"{test}: cannot be read (No such file or directory), but its index names it; {remedy}"
    size = first.stat().st_size
    first.write_bytes(first.read_bytes()[:-512])
    assert (
        refusal()
        == f"{first}: is not the shard that its index describes (it has {size - 512} bytes, not {size}); {remedy}"
    )
    second.write_bytes(first.read_bytes().ljust(second.stat().st_size, b"\0")[: second.stat().st_size])
    assert f"{second}: is not the shard that its index describes (it h" in refusal()
    for place in (0, 3):  # the first and the last; as in a shard of another packing, of recordings of the same length
        with tarfile.open(test) as archive:
            about = archive.getmembers()[2 * place + 1]
            name = json.loads(archive.extractfile(about).read())["name"]  # type: ignore[union-attr]
        content = bytearray(test.read_bytes())
        at = content.index(json.dumps(name).encode(), about.offset_data)
        content[at + 1 : at + 2] = b"X"
        test.write_bytes(content)
        assert f"(it holds 'X{name[1:]}' (test) instead of '{name}' (test)); {remedy}" in refusal()
    validation.write_bytes(bytes(validation.stat().st_size))
    assert f"{validation}: is not the shard that its index describes (it holds no '" in refusal()


def test_shards_that_do_not_fit_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"index.parquet: no such file; pack the data set into .* with `audio-relevance pack`"
    ):
        tables(corpus, tmp_path / "nothing")
    packed(corpus, tmp_path / "shards")
    with pytest.raises(DataError, match="is packed at 8000 Hz, but the audio encoder wants 4000 Hz"):
        read_index(tmp_path / "shards", 4000)
    data = tables(corpus, tmp_path / "shards")  # what comes later is met when a crop is read
    tars = [shard_files(tmp_path / "shards", number)[0] for number in range(2)]
    for tar in tars:
        tar.write_bytes(tar.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"is truncated .*; delete it and run `audio-relevance pack` again"):
        next(iter(data.train_dataloader()))
    for tar in tars:
        tar.unlink()
    with pytest.raises(DataError, match=r"shard-00000[01].tar: cannot be read \(No such file or directory\)"):
        next(iter(data.train_dataloader()))
    (tmp_path / "shards" / "index.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"index.parquet: cannot be read \(.*\); run `audio-relevance pack` again"):
        tables(corpus, tmp_path / "shards")


def test_an_index_of_an_older_packing_can_be_read(corpus: Corpus, tmp_path: Path) -> None:
    packed(corpus, tmp_path)
    path = tmp_path / "index.parquet"
    now = read_index(tmp_path, RATE)
    pq.write_table(pq.read_table(path).drop_columns(["audio_id", "captions", "key", "shard_bytes"]), path)
    assert read_index(tmp_path, RATE) == now
