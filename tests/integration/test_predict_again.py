"""What was embedded is kept: only what is new, or was changed, or a kill left out, is embedded again."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lightning.pytorch.callbacks import Callback

from experiments.callbacks.embedding_writer import EmbeddingWriter
from experiments.results.embeddings_file import audio_weights_sha256, parts_folder, read_embeddings
from tests.support.predictions import arguments, predict
from tests.support.recordings import (
    NAMES,
    embedded,
    other_weights,
)
from tests.support.runs import Killed
from tests.support.tiny import tiny_model
from train import main


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


@pytest.mark.slow
def test_embeddings_of_another_source_may_be_overwritten(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "e.parquet"
    for folder in two_alike(tmp_path):
        assert main([*arguments(run, folder, file), "--run.overwrite", "true"]) == 0
        assert read_embeddings(file).table["path"].to_pylist() == [str(folder / name) for name in ("a.wav", "b.wav")]
