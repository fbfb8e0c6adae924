"""Packing: resumed, repeated after files changed, by several processes; what it refuses and reports."""

import csv
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from filelock import FileLock

from common import processes
from common.errors import DataError
from datamodules.audio import read_audio, read_info
from datamodules.shards import format as shards
from datamodules.shards.format import read_index
from tests.support.corpus import CLIPS, Corpus
from tests.support.packing import RATE, digests, packed, tables
from tests.support.waiting import until


def test_packing_continues_where_it_was_killed(corpus: Corpus, tmp_path: Path) -> None:
    packed(corpus, tmp_path / "whole")
    packed(corpus, tmp_path / "killed")
    for name in ("shard-000001.parquet", "index.parquet", "failures.csv", "shard-000003.tar", "shard-000003.parquet"):
        (tmp_path / "killed" / name).unlink()
    (tmp_path / "killed" / ".shard-000003.123.part.tar").write_bytes(b"half")
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


def test_files_that_were_damaged_and_are_fixed_deleted_or_back_again(
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


def test_a_fixed_shard_that_is_being_written_has_no_table(
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
        assert packed(corpus, folder) == 130
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
        f"error: {tmp_path}/shards/failures.csv: none of the 13 recordings could be read; get them again\n"
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
    assert capsys.readouterr().err == "error: data.batch_size is 0; give a number from 1\n"
    packed(corpus, tmp_path / "shards")
    assert not [warning for warning in recwarn if "jsonargparse" in str(warning.category).lower()]
    assert "Deprecation" not in capsys.readouterr().err


def test_two_packings_into_one_folder_do_not_meet(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shards").mkdir()
    with FileLock(tmp_path / "shards" / ".lock"):
        assert packed(corpus, tmp_path / "shards") == 1
    assert "shards: another process writes it; wait for it, or give another folder" in capsys.readouterr().err


def test_processes_of_a_killed_packing_end(tmp_path: Path) -> None:
    """Otherwise they would stay forever, and write while the same command runs again."""
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
    until(lambda: not _is_alive(worker))


def _is_alive(pid: int) -> bool:
    """Whether there is such a process that has not ended; one that nobody waits for stays in the list."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
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
    assert "1 annotated recordings have no file and are left out: wind.wav\n" in said
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
    remedy = r"\(`audio-relevance pack` decodes every file of a data set and lists those that are damaged\)"
    with pytest.raises(
        DataError, match=rf"dog.wav: cannot be decoded .*; get the file again, or delete it .* {remedy}"
    ):
        read_audio(path, info, RATE)
    assert packed(corpus, tmp_path / "shards") == 0
    assert "12 of 13 recordings packed" in capsys.readouterr().out
    with (tmp_path / "shards" / "failures.csv").open() as file:
        assert [name for name, _ in csv.reader(file)] == ["name", "dog.wav"]


def test_a_folder_holds_one_packing(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed(corpus, tmp_path / "shards")
    assert packed(corpus, tmp_path / "shards", "--sample_rate", "4000") == 1
    assert "was made otherwise (sample_rate: 8000 before, 4000 now); give another folder" in capsys.readouterr().err


def test_a_corpus_without_audio_is_refused(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in CLIPS:
        shutil.rmtree(corpus.audio(split, ""))
        corpus.audio(split, "").mkdir()
    assert packed(corpus, tmp_path / "shards") == 1
    assert "holds no audio of the annotated recordings" in capsys.readouterr().err
    assert not (tmp_path / "shards").exists()
