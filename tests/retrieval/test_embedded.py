"""Vectors of recordings out of stores, files of embeddings, and pools."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.errors import RunError
from datamodules.clotho import Clotho
from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import evaluate
from experiments.results.embeddings_file import Embeddings, Stamp, embedding_table, write_embeddings
from experiments.results.pool_file import write_pool
from retrieval.hygiene.embedded import read_embedded
from tests.support.corpus import Corpus
from tests.support.expert_features import made_up, write_features


def test_a_store_gives_the_mean_of_the_frames_by_split(corpus: Corpus, tmp_path: Path) -> None:
    data = Clotho(str(corpus.root))
    folder = write_features(data, tmp_path / "store", "made_up")
    found = read_embedded(folder)
    assert [(each.label, each.split, len(each.names)) for each in found] == [
        (f"{folder} train", "train", 6),
        (f"{folder} validation", "validation", 3),
        (f"{folder} test", "test", 4),
    ]
    for each in found:
        for name, vector in zip(each.names, each.vectors, strict=True):
            mean = made_up(name, 4).mean(0)
            np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), rtol=1e-5)
    assert {each.model for each in found} == {"0" * 64}


def write_pool_of(path: Path, audio: Any, gates: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [f"{i}.wav" for i in range(len(audio))]
    rows = torch.arange(len(audio))
    pool = EmbeddingPool.of_texts(audio, names, torch.rand(len(audio), audio.shape[1]), names, rows, gates)
    write_pool(path, evaluate("test", pool))
    return path


def test_a_pool_names_its_split(tmp_path: Path) -> None:
    path = write_pool_of(tmp_path / "run" / "pool_test.safetensors", 3 * torch.eye(3))
    (found,) = read_embedded(path)
    assert (found.split, found.names, found.model) == ("test", ["0.wav", "1.wav", "2.wav"], str(tmp_path / "run"))
    np.testing.assert_array_equal(found.vectors, np.eye(3))


def test_pools_of_experts_are_refused(tmp_path: Path) -> None:
    path = write_pool_of(tmp_path / "pool_test.safetensors", torch.rand(3, 5), gates=2)
    with pytest.raises(RunError, match="holds several vectors a recording"):
        read_embedded(path)


def write_file(path: Path, vectors: Any, **facts: str) -> Path:
    stamps = [Stamp(f"/{i}.wav", 1, 1) for i in range(len(vectors))]
    table = embedding_table([f"{i}.wav" for i in range(len(vectors))], stamps, [1.0] * len(vectors), vectors)
    known = dict.fromkeys(("checkpoint", "audio_encoder", "sample_rate", "max_seconds", "precision"), "x")
    write_embeddings(path, Embeddings(table, {**known, "audio_weights_sha256": "abc", **facts}))
    return path


def test_a_file_of_embeddings_names_no_split(tmp_path: Path) -> None:
    vectors = np.eye(2, dtype=np.float32)
    (found,) = read_embedded(write_file(tmp_path / "e.parquet", vectors, unit_length="true"))
    assert (found.split, found.model, found.names) == (None, "abc", ["0.wav", "1.wav"])
    with pytest.raises(RunError, match="its embeddings are no vectors for cosine similarity"):
        read_embedded(write_file(tmp_path / "f.parquet", vectors, unit_length="false"))


def test_a_vector_of_length_zero_is_refused_by_name(tmp_path: Path) -> None:
    path = write_file(tmp_path / "e.parquet", np.array([[1, 0], [0, 0]], np.float32))
    with pytest.raises(RunError, match=r"e\.parquet: the vector of '1\.wav' is zero or holds NaN"):
        read_embedded(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"gone\.parquet: no such file"):
        read_embedded(tmp_path / "gone.parquet")
