"""Folders of recordings that are embedded by small models."""

from pathlib import Path
from typing import Any

from datamodules.audio_folder import AudioFolder
from experiments.callbacks.embedding_writer import EmbeddingWriter
from experiments.results.embeddings_file import audio_weights_sha256
from lightning_modules.dual_encoder import DualEncoder
from tests.support.tiny import tiny_trainer

FACTS = {"checkpoint": "x.ckpt", "audio_weights_sha256": "0", "audio_encoder": "{}"}


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
