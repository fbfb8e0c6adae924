"""Shards: what is packed comes out again, wherever a crop begins; a killed packing goes on; failures are reported."""

import csv
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from cli.commands import pack as door
from common.errors import DataError
from datamodules.audio import AudioInfo, read_audio, read_info
from datamodules.clotho import SPLITS, Clotho
from datamodules.shards import format as shards
from datamodules.shards import packing, processes
from datamodules.shards.format import Recording, read_index, shard_files, write_index, write_shard
from tests.conftest import CLIPS, Corpus

RATE = 8000


def packed(corpus: Corpus, folder: Path, *options: str) -> int:
    arguments = [str(folder), "--data", "Clotho", "--data.root", str(corpus.root), "--sample_rate", str(RATE)]
    return door.main([*arguments, "--workers", "1", "--shard_size", "4", *options])


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def tables(corpus: Corpus, shards: Path | None) -> Clotho:
    data = Clotho(str(corpus.root), 2, 0.5, RATE, packed=shards and str(shards), num_workers=0, seed=0)
    for stage in ("fit", "test"):
        data.setup(stage)
    return data


def test_every_recording_comes_out_of_its_shard(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert packed(corpus, tmp_path / "shards") == 0
    assert "13 of 13 recordings packed; train on them with --data.packed" in capsys.readouterr().out
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
        # The resampler sees a crop's end in the one case and the recording going on in the other.
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
    assert np.array_equal(*crops)


def test_packing_goes_on_where_it_was_killed(corpus: Corpus, tmp_path: Path) -> None:
    packed(corpus, tmp_path / "whole")
    packed(corpus, tmp_path / "killed")
    for name in ("shard-000001.parquet", "index.parquet", "failures.csv", "shard-000003.tar", "shard-000003.parquet"):
        (tmp_path / "killed" / name).unlink()
    (tmp_path / "killed" / ".shard-000003.tar.123.part").write_bytes(b"half")
    (tmp_path / "killed" / "shard-000001.tar").write_bytes(b"half, since its table is not there")
    before = (tmp_path / "killed" / "shard-000000.tar").stat().st_mtime_ns
    assert packed(corpus, tmp_path / "killed") == 0
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")
    assert (tmp_path / "killed" / "shard-000000.tar").stat().st_mtime_ns == before


def test_a_shard_that_was_deleted_or_lost_its_table_is_packed_again(corpus: Corpus, tmp_path: Path) -> None:
    packed(corpus, tmp_path / "shards")
    whole = digests(tmp_path / "shards")
    (tmp_path / "shards" / "shard-000001.tar").unlink()
    (tmp_path / "shards" / "shard-000002.parquet").write_bytes(b"no table")
    packed(corpus, tmp_path / "shards")
    assert digests(tmp_path / "shards") == whole


def failures(folder: Path) -> list[str]:
    with (folder / "failures.csv").open(newline="") as file:
        return [name for name, _ in csv.reader(file)][1:]


def dates(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("shard-*")}


def test_files_that_were_damaged_and_are_mended_deleted_or_back_again(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each time the folder is what packing such a data set at once gives, and other shards are not written again."""
    dog, folder = corpus.audio("development", "dog.wav"), tmp_path / "shards"
    sound = dog.read_bytes()
    expected = {}
    for state, content in {"sound": sound, "deleted": None, "damaged": b"RIFF, but no audio"}.items():
        dog.unlink() if content is None else dog.write_bytes(content)
        assert packed(corpus, tmp_path / state) == 0
        expected[state] = digests(tmp_path / state)
    assert packed(corpus, folder) == 0
    rows = pq.read_table(folder / "index.parquet").to_pylist()
    of_dog = next(row["shard"] for row in rows if (row["split"], row["name"]) == ("train", "dog.wav"))
    for state, content in [("damaged", dog.read_bytes()), ("sound", sound), ("deleted", None), ("sound", sound)]:
        dog.unlink() if content is None else dog.write_bytes(content)
        before, unchanged = dates(folder), digests(folder) == expected[state]
        capsys.readouterr()
        assert packed(corpus, folder) == 0
        assert digests(folder) == expected[state]
        changed = {name for name, date in dates(folder).items() if date != before[name]}
        assert changed == (set() if unchanged else {of_dog, of_dog.replace(".tar", ".parquet")})
        assert failures(folder) == (["dog.wav"] if state == "damaged" else [])
        count = {"damaged": "12 of 13", "sound": "13 of 13", "deleted": "12 of 12"}[state]
        said = capsys.readouterr().out
        assert f"{count} recordings packed" in said
        assert ("1 could not be read" in said) == (state == "damaged")


def test_a_mended_shard_that_is_being_written_has_no_table(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed then, the old table would tell of the new shard."""
    dog, folder = corpus.audio("development", "dog.wav"), tmp_path / "shards"
    sound = dog.read_bytes()
    packed(corpus, tmp_path / "whole")
    dog.write_bytes(b"RIFF, but no audio")
    packed(corpus, folder)
    dog.write_bytes(sound)

    def killed(*of: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shards, "_write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            packed(corpus, folder)
    assert len(list(folder.glob("*.parquet"))) == 3  # of four shards, and no index
    with pytest.raises(DataError, match=r"index.parquet: no such file; pack the data set .* to its end"):
        read_index(folder, RATE)
    assert packed(corpus, folder) == 0
    assert digests(folder) == digests(tmp_path / "whole")


def test_a_data_set_of_damaged_files_is_an_error(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split, clips in CLIPS.items():
        for name, *_ in clips:
            corpus.audio(split, name).write_bytes(b"RIFF, but no audio")
    assert packed(corpus, tmp_path / "shards") == 1
    said = capsys.readouterr()
    assert said.out.strip() == ""  # but for the progress bar's
    assert said.err == (
        f"error: {tmp_path}/shards/failures.csv: none of the 13 recordings could be read; get them anew\n"
    )
    assert len(failures(tmp_path / "shards")) == 13


def test_what_the_data_module_refuses_is_one_line(
    corpus: Corpus,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    with pytest.raises(SystemExit) as ended:
        packed(corpus, tmp_path / "shards", "--data.batch_size", "0")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: data.batch_size must be at least 1, got 0\n"
    packed(corpus, tmp_path / "shards")
    assert not [warning for warning in recwarn if "jsonargparse" in str(warning.category).lower()]
    assert "Deprecation" not in capsys.readouterr().err


def test_shards_that_are_not_what_the_index_says_are_refused_at_the_start_and_packed_anew(
    corpus: Corpus, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    for clip in range(4):  # of one length, as many data sets are
        soundfile.write(corpus.audio("evaluation", CLIPS["evaluation"][clip][0]), np.zeros(400), RATE)
    packed(corpus, folder)
    whole = digests(folder)
    first, second, validation, test = (shard_files(folder, number)[0] for number in range(4))
    remedy = "copy it there anew, or run the same `python pack.py` again"

    def refusal() -> str:
        with pytest.raises(DataError) as caught:
            Clotho(str(corpus.root), 2, 0.5, RATE, packed=str(folder), num_workers=0, seed=0).setup("fit")
        assert packed(corpus, folder) == 0
        assert digests(folder) == whole
        return str(caught.value)

    test.unlink()  # it is the start of a training that says so
    assert refusal() == f"{test}: cannot be read (No such file or directory), but its index tells of it; {remedy}"
    size = first.stat().st_size
    first.write_bytes(first.read_bytes()[:-512])
    assert (
        refusal()
        == f"{first}: is not the shard that its index tells of (it has {size - 512} bytes, not {size}); {remedy}"
    )
    second.write_bytes(first.read_bytes().ljust(second.stat().st_size, b"\0")[: second.stat().st_size])
    assert f"{second}: is not the shard that its index tells of (it h" in refusal()
    for place in (0, 3):  # the first and the last; as in a shard of another packing, of recordings of the same length
        with tarfile.open(test) as archive:
            about = archive.getmembers()[2 * place + 1]
            name = json.loads(archive.extractfile(about).read())["name"]  # type: ignore[union-attr]
        content = bytearray(test.read_bytes())
        at = content.index(json.dumps(name).encode(), about.offset_data)
        content[at + 1 : at + 2] = b"X"
        test.write_bytes(content)
        assert f"(it holds 'X{name[1:]}' (test) in place of '{name}' (test)); {remedy}" in refusal()
    validation.write_bytes(bytes(validation.stat().st_size))
    assert f"{validation}: is not the shard that its index tells of (it holds no '" in refusal()


def test_two_packings_into_one_folder_do_not_meet(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shards").mkdir()
    with FileLock(tmp_path / "shards" / ".lock"):
        assert packed(corpus, tmp_path / "shards") == 1
    assert "shards: another process packs into it; wait for it, or give another folder" in capsys.readouterr().err


def test_processes_of_a_killed_packing_end(tmp_path: Path) -> None:
    """Otherwise they would stay for ever, and write beside those of the packing that goes on."""
    program = """if True:
        import multiprocessing, os, time
        from concurrent.futures import ProcessPoolExecutor
        from processes import end_with_parent
        if __name__ == "__main__":
            pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), end_with_parent)
            print(pool.submit(os.getpid).result(), flush=True)
            time.sleep(60)
    """
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(program))
    shutil.copy(processes.__file__, tmp_path)  # alone: the package's imports take seconds
    with subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 30
    while _is_alive(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    """Whether there is such a process that has not ended; one that nobody waits for stays in the list."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_workers_write_the_same_shards(corpus: Corpus, tmp_path: Path) -> None:
    packed(corpus, tmp_path / "one")
    packed(corpus, tmp_path / "two", "--workers", "2")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_what_cannot_be_read_is_reported_and_the_rest_packed(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus.audio("development", "dog.wav").write_bytes(b"RIFF, but no audio")
    corpus.audio("development", "wind.wav").unlink()
    assert packed(corpus, tmp_path / "shards") == 0
    said = capsys.readouterr().out
    assert "11 of 12 recordings packed" in said
    assert "1 could not be read" in said
    with (tmp_path / "shards" / "failures.csv").open() as file:
        ((_, _), (name, error)) = list(csv.reader(file))
    assert name == "dog.wav"
    assert "is not an audio file that can be read" in error
    data = tables(corpus, tmp_path / "shards")
    assert data.tables["train"].audio["name"].to_pylist() == [
        name for name, *_ in CLIPS["development"] if name not in ("dog.wav", "wind.wav")
    ]
    assert data.tables["train"].missing == ("dog.wav", "wind.wav")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_damage_in_the_middle_of_a_flac_is_found_by_packing(
    corpus: Corpus, tmp_path: Path, subtype: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its header and its last sample are fine, so a training would meet it only when it draws a crop there."""
    path = corpus.audio("development", "dog.wav")
    samples = 0.3 * np.random.default_rng(0).standard_normal(10 * 32000)
    soundfile.write(path, samples, 32000, format="FLAC", subtype=subtype)
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 20000] = bytes(20000)
    path.write_bytes(whole)
    info = read_info(path)
    remedy = r"\(`python pack.py` decodes every file of a data set and lists those that are damaged\)"
    with pytest.raises(DataError, match=rf"dog.wav: cannot be decoded .*; get the file anew, or delete it .* {remedy}"):
        read_audio(path, info, RATE)
    assert packed(corpus, tmp_path / "shards") == 0
    assert "12 of 13 recordings packed" in capsys.readouterr().out
    with (tmp_path / "shards" / "failures.csv").open() as file:
        assert [name for name, _ in csv.reader(file)] == ["name", "dog.wav"]


def test_a_folder_holds_one_packing(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed(corpus, tmp_path / "shards")
    assert packed(corpus, tmp_path / "shards", "--sample_rate", "4000") == 1
    assert "holds shards of another packing (sample_rate differ); give another folder" in capsys.readouterr().err


def test_shards_that_do_not_fit_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"index.parquet: no such file; pack the data set into .* with `python pack.py`"
    ):
        tables(corpus, tmp_path / "nothing")
    packed(corpus, tmp_path / "shards")
    with pytest.raises(DataError, match="is packed at 8000 Hz, but the audio encoder wants 4000 Hz"):
        read_index(tmp_path / "shards", 4000)
    data = tables(corpus, tmp_path / "shards")  # what comes later is met when a crop is read
    tars = [shard_files(tmp_path / "shards", number)[0] for number in range(2)]
    for tar in tars:
        tar.write_bytes(tar.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"is truncated .*; delete it and run `python pack.py` again"):
        next(iter(data.train_dataloader()))
    for tar in tars:
        tar.unlink()
    with pytest.raises(DataError, match=r"shard-00000[01].tar: cannot be read \(No such file or directory\)"):
        next(iter(data.train_dataloader()))
    (tmp_path / "shards" / "index.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"index.parquet: cannot be read \(.*\); run `python pack.py` again"):
        tables(corpus, tmp_path / "shards")


def test_an_index_of_an_older_packing_can_be_read(corpus: Corpus, tmp_path: Path) -> None:
    packed(corpus, tmp_path)
    path = tmp_path / "index.parquet"
    now = read_index(tmp_path, RATE)
    pq.write_table(pq.read_table(path).drop_columns(["audio_id", "captions", "key", "shard_bytes"]), path)
    assert read_index(tmp_path, RATE) == now


def test_a_corpus_without_audio_is_refused(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in CLIPS:
        shutil.rmtree(corpus.audio(split, ""))
        corpus.audio(split, "").mkdir()
    assert packed(corpus, tmp_path / "shards") == 1
    assert "holds no audio of the annotated recordings" in capsys.readouterr().err
    assert not (tmp_path / "shards").exists()
