"""`train.py predict`: embeddings of any folder of recordings in one file, kept so that only what is new is embedded."""

import logging
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from filelock import FileLock
from lightning.pytorch.callbacks import Callback

import experiments.callbacks.embedding_writer
from common.errors import RunError
from datamodules.audio_folder import AudioFolder, audio_by_path
from experiments.callbacks.embedding_writer import EmbeddingWriter
from experiments.results.embeddings_file import Embeddings, audio_weights_sha256, parts_folder, read_embeddings
from lightning_modules.dual_encoder import DualEncoder
from tests.support.corpus import CLIPS
from tests.support.ranks import on_ranks
from tests.support.recordings import (
    NAMES,
    RECORDINGS,
    damage,
    embedded,
    model_of,
    other_weights,
    tiny_run,
    write_recordings,
)
from tests.support.runs import Killed
from tests.support.tiny import tiny_model, tiny_trainer
from train import main

FACTS = {"checkpoint": "x.ckpt", "audio_weights_sha256": "0", "audio_encoder": "{}"}


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """A folder of recordings that a test may damage."""
    return write_recordings(tmp_path / "audio")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("run"))


def arguments(run: Path, audio: Path, file: Path) -> list[str]:
    settings = ["--data.max_seconds", "2", "--data.num_workers", "0", "--run.embeddings", str(file)]
    return [
        "predict",
        "--config",
        str(run / "config_fit.yaml"),
        "--data",
        "AudioFolder",
        "--data.root",
        str(audio),
        *settings,
    ]


def predict(
    model: DualEncoder,
    audio: Path,
    file: Path,
    *,
    part_seconds: float = 30.0,
    overwrite: bool = False,
    callbacks: Any = (),
    **options: Any,
) -> EmbeddingWriter:
    data = AudioFolder(str(audio), **{"batch_size": 2, "num_workers": 0, "max_seconds": 2.0, **options})
    facts = {**FACTS, "audio_weights_sha256": audio_weights_sha256(model.state_dict())}
    writer = EmbeddingWriter(file, facts, part_seconds, overwrite=overwrite)
    tiny_trainer(file.parent, callbacks=[writer, *callbacks]).predict(model, datamodule=data, return_predictions=False)
    return writer


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of all recordings that a model was asked to embed."""
    names: list[str] = []
    step = DualEncoder.predict_step

    def counted(self: DualEncoder, batch: Any, batch_idx: int) -> dict[str, Any]:
        outputs = step(self, batch, batch_idx)
        names.extend(outputs["names"])
        return outputs

    monkeypatch.setattr(DualEncoder, "predict_step", counted)
    return names


@pytest.mark.slow
def test_any_folder_is_embedded(run: Path, audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (audio / "notes.txt").write_text("no audio")
    file = tmp_path / "new" / "embeddings.parquet"
    assert main(arguments(run, audio, file)) == 0
    out = capsys.readouterr().out
    assert f"embeddings: {file}: 7 recordings, 1 longer than 2 s and embedded by their beginning" in out

    found = read_embeddings(file)
    assert found.table["name"].to_pylist() == NAMES
    assert found.table["path"].to_pylist() == [str(audio / name) for name in NAMES]
    np.testing.assert_allclose(found.table["seconds"].to_numpy(), [seconds for *_, seconds, _ in RECORDINGS], atol=0.06)
    assert found.table.schema.field("embedding").type == pa.list_(pa.float32(), 12)
    model = model_of(run)
    expected = np.stack([embedded(model, audio / name) for name in NAMES])
    np.testing.assert_allclose(found.vectors, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-6)

    best = run / "checkpoints" / "best.ckpt"
    facts = {"checkpoint": str(best), "sample_rate": "100", "max_seconds": "2.0", "precision": "32-true"}
    facts |= {"unit_length": "true", "audio_weights_sha256": audio_weights_sha256(model.state_dict())}
    metadata = {key.decode(): value.decode() for key, value in pq.read_schema(file).metadata.items()}
    assert facts.items() <= metadata.items()
    assert "tests.support.tiny.TinyAudio" in metadata["audio_encoder"]
    assert [path.name for path in file.parent.iterdir() if path.suffix != ".lock"] == [file.name]


@pytest.mark.slow
def test_without_another_folder_the_test_split_is_embedded(run: Path) -> None:
    assert main(["predict", "--config", str(run / "config_fit.yaml")]) == 0
    found = read_embeddings(run / "embeddings.parquet")
    assert found.table["name"].to_pylist() == [name for name, *_ in CLIPS["evaluation"]]
    paths = map(Path, found.table["path"].to_pylist())
    model = model_of(run)
    np.testing.assert_allclose(found.vectors, np.stack([embedded(model, path) for path in paths]), atol=1e-6)
    first = (run / "embeddings.parquet").stat().st_mtime_ns
    assert main(["predict", "--config", str(run / "config_fit.yaml"), "--trainer.fast_dev_run", "true"]) == 0
    assert (run / "embeddings.parquet").stat().st_mtime_ns == first


class Killer(Callback):
    """Ends the process at a batch, before anyone can write anything more."""

    def __init__(self, at: int = 2) -> None:
        self.at = at

    def on_predict_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, _: int = 0) -> None:
        if batch_idx == self.at:
            raise Killed


def test_a_killed_prediction_resumes_where_it_was(
    audio: Path, tmp_path: Path, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, file = tiny_model(), tmp_path / "killed.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(EmbeddingWriter, "on_exception", lambda self, *_: self._release())  # a kill leaves no time
        with pytest.raises(Killed):
            predict(model, audio, file, part_seconds=0.0, callbacks=[Killer()])
    assert not file.exists()
    assert len(list(parts_folder(file).iterdir())) == 2
    (parts_folder(file) / ".half.parquet").write_bytes(b"PAR1")  # it was killed in the middle of a part
    assert seen == NAMES[:4]

    writer = predict(model, audio, file)
    assert seen == NAMES
    assert (writer.total, writer.before) == (7, 4)
    assert not parts_folder(file).exists()
    whole = predict(model, audio, tmp_path / "whole.parquet").result
    assert whole is not None
    assert writer.result is not None
    assert writer.result.table["name"].to_pylist() == NAMES
    np.testing.assert_allclose(writer.result.vectors, whole.vectors, atol=1e-6)


def test_an_error_loses_nothing(audio: Path, tmp_path: Path, seen: list[str]) -> None:
    model, file = tiny_model(), tmp_path / "e.parquet"
    with pytest.raises(Killed):
        predict(model, audio, file, callbacks=[Killer()])
    predict(model, audio, file)
    assert seen == NAMES


def test_only_what_is_new_or_was_changed_is_embedded(audio: Path, tmp_path: Path, seen: list[str]) -> None:
    model, file = tiny_model(), tmp_path / "e.parquet"
    first = predict(model, audio, file).result
    assert first is not None
    (audio / "a.wav").write_bytes((audio / "deep/er/a.wav").read_bytes())
    (audio / "f.opus").unlink()
    soundfile.write(audio / "new.wav", np.ones(8000) / 2, 8000)
    seen.clear()
    writer = predict(model, audio, file)
    assert seen == ["a.wav", "new.wav"]
    assert writer.result is not None
    assert writer.result.table["name"].to_pylist() == sorted({*NAMES, "new.wav"} - {"f.opus"})
    rows = dict(zip(writer.result.table["name"].to_pylist(), writer.result.vectors, strict=True))
    np.testing.assert_allclose(rows["a.wav"], rows["deep/er/a.wav"], atol=1e-6)
    for name, before in zip(NAMES[1:5], first.vectors[1:5], strict=True):
        np.testing.assert_array_equal(rows[name], before)
    seen.clear()
    assert (
        predict(model, audio, file)
        .summary()
        .endswith("7 of them embedded before, 1 longer than 2 s and embedded by their beginning")
    )
    assert seen == []

    # A file with the size of the former one, written later.
    content = (audio / "new.wav").read_bytes()
    (audio / "new.wav").write_bytes(content[:-2] + b"\x01\x02")
    os.utime(audio / "new.wav", ns=(0, 0))
    predict(model, audio, file)
    assert seen == ["new.wav"]


def test_other_weights_or_crops_embed_everything_again(audio: Path, tmp_path: Path, seen: list[str]) -> None:
    file = tmp_path / "e.parquet"
    predict(tiny_model(seed=0), audio, file)
    for options in ({"seed": 1}, {"seed": 1, "max_seconds": 1.0}):
        seen.clear()
        model = tiny_model(seed=options.pop("seed"))  # type: ignore[arg-type]
        result = predict(model, audio, file, overwrite=True, **options).result
        assert seen == NAMES
        assert result is not None
        expected = np.stack([embedded(model.eval(), audio / name, **options) for name in NAMES])
        np.testing.assert_allclose(result.vectors, expected, atol=1e-6)


def test_text_weights_do_not_matter() -> None:
    model = tiny_model()
    before = audio_weights_sha256(model.state_dict())
    with torch.no_grad():
        model.text_encoder.words.weight.add_(1)  # type: ignore[union-attr, operator]
    assert audio_weights_sha256(model.state_dict()) == before
    with torch.no_grad():
        model.audio_encoder.frames.weight[0, 0].add_(1e-6)  # type: ignore[union-attr, index]
    assert audio_weights_sha256(model.state_dict()) != before


def two_alike(folder: Path) -> tuple[Path, Path]:
    """Folders of recordings that nothing but their content tells apart: an archive may set all times alike."""
    rng = np.random.default_rng(1)
    for name in ("one/a.wav", "one/b.wav", "two/a.wav", "two/b.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, 0.1 * rng.standard_normal(4000), 8000)
        os.utime(folder / name, (315532800, 315532800))
    return folder / "one", folder / "two"


@pytest.mark.parametrize("through_link", [False, True])
def test_a_like_file_elsewhere_is_another_recording(tmp_path: Path, seen: list[str], through_link: bool) -> None:
    model, file, link = tiny_model(), tmp_path / "e.parquet", tmp_path / "link"
    for folder in two_alike(tmp_path):
        seen.clear()
        if through_link:
            link.unlink(missing_ok=True)
            link.symlink_to(folder)
        result = predict(model, link if through_link else folder, file, overwrite=True).result
        assert seen == ["a.wav", "b.wav"]
        assert result is not None
        assert result.table["path"].to_pylist() == [str(folder / name) for name in seen]
        expected = np.stack([embedded(model.eval(), folder / name) for name in seen])
        np.testing.assert_allclose(result.vectors, expected, atol=1e-6)


@pytest.mark.slow
def test_embeddings_of_another_source_are_not_written_over(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (one, two), file = two_alike(tmp_path), tmp_path / "e.parquet"
    (one / "deep").mkdir()
    (one / "deep" / "c.wav").write_bytes((one / "a.wav").read_bytes())
    assert main(arguments(run, one, file)) == 0
    before = file.read_bytes()
    remedy = "; name another file with --run.embeddings, or replace it with --run.overwrite true"
    for folder, more, message in (
        (two, [], f"holds 3 recordings of another folder or data set ({one}/a.wav)"),
        (one / "deep", [], "holds 3 recordings of another folder or data set"),
        (one.parent, [], "holds 3 recordings of another folder or data set"),  # under other names
        (one, ["--data.max_seconds", "1"], "was embedded with max_seconds 2.0, not 1.0"),
        (one, ["--ckpt_path", str(other_weights(run, tmp_path))], "was embedded by another model than"),
    ):
        capsys.readouterr()
        assert main([*arguments(run, folder, file), *more]) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith(f"error: {file}: {message}")
        assert line.endswith(remedy)
        assert file.read_bytes() == before
        assert not parts_folder(file).exists()
    shutil.move(one, tmp_path / "moved")  # as a disk that was taken out: none of what was embedded is there
    assert main(arguments(run, two, file)) == 1
    assert file.read_bytes() == before


def test_a_folder_may_change_and_be_embedded_again(audio: Path, tmp_path: Path, seen: list[str]) -> None:
    model, file = tiny_model(), tmp_path / "e.parquet"
    predict(model, audio, file)
    seen.clear()
    (audio / "a.wav").rename(audio / "renamed.wav")
    shutil.rmtree(audio / "deep")
    (audio / "long.wav").write_bytes(b"")  # was damaged since
    (tmp_path / "link").symlink_to(audio)
    writer = predict(model, tmp_path / "link", file)
    assert seen == ["renamed.wav"]
    assert writer.result is not None
    assert writer.result.table["name"].to_pylist() == ["b.FLAC", "f.opus", "renamed.wav"]


def test_what_a_killed_run_left_is_neither_taken_for_others_nor_refused(tmp_path: Path, seen: list[str]) -> None:
    (one, two), model, file = two_alike(tmp_path), tiny_model(), tmp_path / "e.parquet"
    with pytest.raises(Killed):
        predict(model, one, file, batch_size=1, callbacks=[Killer(at=1)])
    assert seen == ["a.wav"]
    seen.clear()
    result = predict(model, two, file).result
    assert seen == ["a.wav", "b.wav"]
    assert result is not None
    assert result.table["path"].to_pylist() == [str(two / name) for name in seen]


def test_a_damaged_part_is_embedded_again(
    audio: Path, tmp_path: Path, seen: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    model, file = tiny_model(), tmp_path / "e.parquet"
    with pytest.raises(Killed):
        predict(model, audio, file, callbacks=[Killer()])
    (part,) = parts_folder(file).iterdir()
    part.write_bytes(part.read_bytes()[:100])
    seen.clear()
    predict(model, audio, file)
    assert seen == NAMES
    assert f"{part}: cannot be read, so its recordings are embedded again" in caplog.text


def on_rank(audio: Path, file: Path, rank: int) -> int:
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    elsewhere = {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}  # gloo is there already
    os.environ |= {name: str(value) for name, value in {**ranks, **elsewhere}.items()}
    data = AudioFolder(str(audio), batch_size=2, num_workers=0, max_seconds=2.0)
    writer = EmbeddingWriter(file, FACTS, part_seconds=0.0)
    trainer = tiny_trainer(file.parent, callbacks=[writer], strategy="ddp", devices=2)
    trainer.predict(tiny_model(), datamodule=data, return_predictions=False)
    return len(data.tables["test"].audio)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_ranks_write_what_one_writes(audio: Path, tmp_path: Path) -> None:
    both, alone = tmp_path / "both.parquet", tmp_path / "alone.parquet"
    (audio / "broken.wav").touch()
    assert on_ranks(partial(on_rank, audio, both), tmp_path) == [7, 7]
    one = predict(tiny_model(), audio, alone).result
    two = read_embeddings(both)
    assert one is not None
    assert two.table.drop(["embedding"]) == one.table.drop(["embedding"])
    np.testing.assert_allclose(two.vectors, one.vectors, atol=1e-6)
    assert not parts_folder(both).exists()


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
        ({"--run.embeddings": "file.wav"}, "file.wav: cannot be read (Parquet magic bytes not found"),
        ({"--run.embeddings": "file.wav"}, "; delete it, or name another file with --run.embeddings"),
        ({"--run.embeddings": "empty"}, "empty: is a folder; give the file that `python train.py predict` wrote"),
        ({"--run.embeddings": "taken.parquet"}, "taken.parquet: another process is writing it; wait for it"),
        ({"--ckpt_path": "nowhere.ckpt"}, "nowhere.ckpt: no such weights file; check the path"),
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
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.wav").write_text("no parquet file, nor audio")
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


@pytest.mark.slow
def test_embeddings_of_another_source_may_be_overwritten(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "e.parquet"
    for folder in two_alike(tmp_path):
        assert main([*arguments(run, folder, file), "--run.overwrite", "true"]) == 0
        assert read_embeddings(file).table["path"].to_pylist() == [str(folder / name) for name in ("a.wav", "b.wav")]
