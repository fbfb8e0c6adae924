"""Recordings and command lines that `predict` refuses or leaves out."""

import logging
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

import experiments.callbacks.embedding_writer
from common.errors import RunError
from datamodules.audio_folder import audio_by_path
from experiments.results.embeddings_file import Embeddings
from tests.support.predictions import arguments, predict
from tests.support.recordings import (
    NAMES,
    damage,
)
from tests.support.tiny import tiny_model
from train import main


def test_broken_files_are_named_and_left_out(audio: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damage(audio)
    with caplog.at_level(logging.WARNING):
        writer = predict(tiny_model(), audio, tmp_path / "e.parquet", batch_size=1)
    assert f"left out: {audio / 'empty.wav'}: is empty (0 bytes)" in caplog.text
    assert f"left out: {audio / 'text.mp3'}: is not an audio file that can be read" in caplog.text
    assert f"left out: {audio / 'nan.wav'}: holds NaN or infinite samples" in caplog.text
    assert writer.result is not None
    assert writer.result.table["name"].to_pylist() == NAMES
    assert "7 of 10 recordings" in writer.summary()


def test_a_name_that_is_not_utf8_is_left_out(audio: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    try:
        with open(os.fsencode(audio) + b"/caf\xe9.wav", "wb") as file:
            file.write((audio / "a.wav").read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with caplog.at_level(logging.WARNING):
        assert "7 of 8 recordings" in predict(tiny_model(), audio, tmp_path / "e.parquet").summary()
    assert "its name is not UTF-8; rename it" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["empty.wav", "nan.wav"])
def test_broken_files_can_be_refused(
    run: Path, audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    damage(audio)
    for other in {"empty.wav", "text.mp3", "nan.wav"} - {name}:
        (audio / other).unlink()
    assert main([*arguments(run, audio, tmp_path / "e.parquet"), "--data.broken_audio", "refuse"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {audio / name}: ")
    assert not (tmp_path / "e.parquet").exists()


def test_a_folder_of_broken_files_gives_no_file(tmp_path: Path) -> None:
    audio, file = tmp_path / "audio", tmp_path / "e.parquet"
    audio.mkdir()
    damage(audio)
    with pytest.raises(RunError, match="not written, since none of 3 recordings could be embedded"):
        predict(tiny_model(), audio, file)
    assert not file.exists()


def test_names_are_paths_in_the_folder(tmp_path: Path) -> None:
    for name in ("b/x.wav", "a/x.WAV", "x.wav", "._x.wav", "a/x.txt", "a/deep/y.opus"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)  # a walk that follows it would never end
    assert list(audio_by_path(tmp_path)) == ["a/deep/y.opus", "a/x.WAV", "b/x.wav", "x.wav"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--data.root": "nowhere"}, "nowhere: no such folder; give the folder of your recordings"),
        ({"--data.root": "file.wav"}, "file.wav: is not a folder; give the folder of your recordings"),
        ({"--data.root": "empty"}, "empty: no audio files (.flac .wav .ogg .opus .mp3) in it or below; check the path"),
        ({"--run.embeddings": "other.parquet"}, "other.parquet: holds something else than embeddings; name another"),
        ({"--run.embeddings": "file.parquet"}, "file.parquet: cannot be read (Parquet magic bytes not found"),
        ({"--run.embeddings": "file.parquet"}, "; delete it, or name another file with --run.embeddings"),
        ({"--run.embeddings": "x.txt"}, "x.txt; give a name that ends in .parquet"),
        (
            {"--run.embeddings": "empty.parquet"},
            "empty.parquet: is a folder; give the file that `python train.py predict` wrote",
        ),
        ({"--run.embeddings": "taken.parquet"}, "taken.parquet: another process is writing it; wait for it"),
        ({"--ckpt_path": "nowhere.ckpt"}, "nowhere.ckpt: no such checkpoint; check the path"),
    ],
)
def test_bad_input_ends_in_one_line(
    run: Path,
    audio: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    message: str,
) -> None:
    monkeypatch.setattr(experiments.callbacks.embedding_writer, "PATIENCE", 0.0)
    for name in ("empty", "empty.parquet"):
        (tmp_path / name).mkdir()
    for name in ("file.wav", "file.parquet"):
        (tmp_path / name).write_text("no parquet file, nor audio")
    pq.write_table(pa.table({"name": ["a"]}), tmp_path / "other.parquet")
    before = (tmp_path / "other.parquet").read_bytes()
    given = [text for flag, value in change.items() for text in (flag, str(tmp_path / value))]
    with FileLock(tmp_path / ".taken.parquet.lock"):
        assert main([*arguments(run, audio, tmp_path / "e.parquet"), *given]) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert (tmp_path / "other.parquet").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_a_folder_without_captions_is_only_embedded(
    run: Path, audio: Path, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    folder = ["--data", "AudioFolder", "--data.root", str(audio), "--run.experiment", "other"]
    checkpoint = [] if stage == "fit" else ["--ckpt_path", str(run / "checkpoints" / "best.ckpt")]
    assert main([stage, "--config", str(run / "config_fit.yaml"), *folder, *checkpoint]) == 1
    assert f"{audio}: AudioFolder has recordings without captions, for `predict` only" in capsys.readouterr().err


@pytest.mark.slow
def test_the_file_s_name_goes_with_predict_only(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--config", str(run / "config_fit.yaml"), "--run.embeddings", "x.parquet"]) == 1
    assert "run.embeddings goes with `predict`, not with `test`; leave it out here" in capsys.readouterr().err


def test_a_file_without_a_limit_has_nothing_cut() -> None:
    table = pa.table({"seconds": [1.0, 1e6]})
    assert [Embeddings(table, {"max_seconds": limit}).cut() for limit in ("None", "1.0", "0.5")] == [0, 1, 2]
