"""Files of embeddings hold one vector of a recording; of a model with several, `predict` says so in one line."""

from pathlib import Path
from typing import Any

import pytest
import torch

from common.errors import RunError
from experiments.callbacks.embedding_writer import EmbeddingWriter


def test_several_vectors_of_a_recording_are_refused(tmp_path: Path) -> None:
    writer = EmbeddingWriter(tmp_path / "embeddings.parquet", {})
    nothing: Any = None
    outputs = {"names": ["a.wav", "b.wav"], "audio_ids": torch.arange(2), "embeddings": torch.randn(2, 4, 3)}
    with pytest.raises(
        RunError, match=r"embeddings\.parquet: the model embeds a recording as 4 vectors, and a file of"
    ):
        writer.on_predict_batch_end(nothing, nothing, outputs, nothing, 0)
    assert list(tmp_path.iterdir()) == []
