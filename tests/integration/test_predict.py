"""`train.py predict`: embeddings of any folder of recordings, by one process and by two."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.audio_folder import AudioFolder
from experiments.callbacks.embedding_writer import EmbeddingWriter
from experiments.results.embeddings_file import audio_weights_sha256, parts_folder, read_embeddings
from tests.support.corpus import CLIPS
from tests.support.predictions import FACTS, arguments, predict
from tests.support.ranks import on_ranks
from tests.support.recordings import (
    NAMES,
    RECORDINGS,
    embedded,
    model_of,
)
from tests.support.tiny import tiny_model, tiny_trainer
from train import main


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
