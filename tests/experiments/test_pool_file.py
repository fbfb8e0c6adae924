"""Pools of runs, and runs evaluated again on the recordings that all of them were tested on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn.functional import normalize

from common.errors import RunError
from evaluation.embedding_pool import EmbeddingPool, on_common_recordings
from evaluation.evaluator import evaluate
from evaluation.ranking import retrieval_metrics
from evaluation.scores import EmbeddingScores
from experiments.results.pool_file import read_pool, write_pool


def pool(names: str, seed: int = 0, *, known: bool = False) -> EmbeddingPool:
    """Two captions a recording, in an order that is not that of the recordings; with known relevance if asked for."""
    generator = torch.Generator().manual_seed(seed)
    described = torch.randperm(2 * len(names), generator=generator) % len(names)
    return EmbeddingPool.of_texts(
        normalize(torch.randn(len(names), 8, generator=generator), dim=1),
        list(names),
        normalize(torch.randn(2 * len(names), 8, generator=generator), dim=1),
        [f"a sound of {names[row]}" for row in described],
        described,
        relevance=torch.rand(len(names), len(names), generator=generator) if known else None,
    )


def test_a_pool_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = pool("abcé", known=True)
    write_pool(tmp_path / "pool.safetensors", evaluate("test", written))
    read = read_pool(tmp_path / "pool.safetensors")
    assert (read.names, read.captions) == (written.names, written.captions)
    for name in ("audio", "audio_ids", "text", "caption_ids", "caption_audio", "relevance"):
        assert torch.equal(getattr(read, name), getattr(written, name))


def test_relevance_of_other_recordings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pool.safetensors"
    write_pool(path, evaluate("test", pool("abc", known=True)))
    with safe_open(path, "pt") as file:
        metadata = {name: text for name, text in file.metadata().items() if name != "sha256"}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    save_file({**tensors, "relevance": tensors["relevance"][:2].clone()}, path, metadata)
    with pytest.raises(RunError, match="its parts do not fit together"):
        read_pool(path)


def test_a_part_of_a_pool_keeps_its_pairs() -> None:
    whole = pool("abcdef")
    part = whole.only({"b", "e", "f", "not there"})
    assert part.names == ["b", "e", "f"]
    assert len(part.captions) == 6
    for row, caption in zip(part.caption_audio.tolist(), part.captions, strict=True):
        assert caption == f"a sound of {part.names[row]}"
    rows = [i for i, caption in enumerate(whole.captions) if caption[-1] in "bef"]
    assert torch.equal(part.text, whole.text[rows])
    assert torch.equal(part.audio, whole.audio[[1, 4, 5]])


def test_judging_the_common_part_is_judging_it_alone() -> None:
    first, second = on_common_recordings([pool("abcdef"), pool("fzbeya", seed=1)])
    assert set(first.names) == set(second.names) == set("abef")
    for shared in (first, second):
        scores = (shared.text @ shared.audio.T).numpy()
        own = scores[np.arange(len(scores)), shared.caption_audio]
        ranks = 1 + (scores > own[:, None]).sum(axis=1)
        expected = float(np.mean(np.where(ranks <= 10, 1 / ranks, 0)))
        assert evaluate("test", shared).rankings["text_to_audio"].summary()["mAP@10"] == pytest.approx(expected)
        rows = torch.arange(len(shared.text))
        again = retrieval_metrics(EmbeddingScores(shared.audio, shared.text), shared.caption_audio, rows).summary()
        assert evaluate("test", shared).rankings["audio_to_text"].summary() == again


def test_pools_that_cannot_be_compared() -> None:
    with pytest.raises(RunError, match="no test recording in common"):
        on_common_recordings([pool("ab"), pool("cd")])
    other = pool("ab")
    with pytest.raises(RunError, match="captions of 'a' differ between the runs"):
        on_common_recordings([pool("ab"), other.named({0: "a", 1: "b"}, dict.fromkeys(range(4), "another"))])


def test_a_changed_byte_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "pool.safetensors"
    write_pool(path, evaluate("test", pool("abc", known=True)))
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        if content[place : place + 1] == b" " and b"}" in content[:place]:
            continue  # a blank between header and data
        with pytest.raises(RunError, match="cannot be read"):
            read_pool(path)


def test_a_pool_of_an_earlier_version_has_no_checksum(tmp_path: Path) -> None:
    path = tmp_path / "pool.safetensors"
    write_pool(path, evaluate("test", pool("abc")))
    with safe_open(path, "pt") as file:
        metadata = {name: text for name, text in file.metadata().items() if name != "sha256"}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    save_file(tensors, path, metadata)
    assert read_pool(path).names == list("abc")


@pytest.mark.parametrize(("side", "named"), [("audio", "recording 'b'"), ("text", "caption 'a sound of ")])
def test_an_embedding_that_is_not_finite_is_named(tmp_path: Path, side: str, named: str) -> None:
    path = tmp_path / "pool.safetensors"
    result = evaluate("test", pool("abc"))
    getattr(result.pool, side)[1, 2] = float("nan")
    write_pool(path, result)
    with pytest.raises(RunError, match=rf"pool.safetensors: cannot be read \(the embedding of {named}.* holds NaN"):
        read_pool(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audio": torch.ones(3)}, "its parts do not fit together"),
        ({"audio": torch.ones(3, 8, dtype=torch.int64)}, "its parts do not fit together"),
        ({"text": torch.ones(6, 7)}, "its parts do not fit together"),
        ({"caption_audio": torch.zeros(6)}, "its parts do not fit together"),
        ({"caption_audio": torch.zeros(6, dtype=torch.int64)}, "its parts do not fit together"),
        ({"relevance": torch.full((3, 3), torch.nan)}, "its known relevance holds NaN, inf or negative values"),
        ({"names": ["a", "b", "a"]}, "two of its recordings are called 'a'"),
        ({"names": None}, "its names and captions are no texts"),
        ({"gates": [1]}, "its parts do not fit together"),
        ({"gates": -1}, "its parts do not fit together"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "pool_validation.safetensors"
    whole = pool("abc")
    tensors = {"audio": whole.audio, "text": whole.text, "caption_audio": whole.caption_audio}
    texts = {"names": whole.names, "captions": whole.captions}
    for name, value in change.items():
        (tensors if isinstance(value, torch.Tensor) else texts)[name] = value
    save_file(tensors, path, {name: json.dumps(value) for name, value in texts.items()})
    with pytest.raises(RunError, match=rf"cannot be read \({message}\); run `python train.py validate` again"):
        read_pool(path)


def test_known_relevance_that_differs_is_of_other_data() -> None:
    first, second = pool("abc", known=True), pool("abc", known=True)
    on_common_recordings([first, second.rows([2, 0, 1], range(6)), pool("abc")])
    assert second.relevance is not None
    second.relevance = second.relevance.flip(0)
    with pytest.raises(RunError, match="the known relevance of the recordings differs between the runs"):
        on_common_recordings([first, second])


@pytest.mark.parametrize(
    ("names", "captions", "message"),
    [
        ([1, None], ["a", "b"], "its names and captions are no texts"),
        (["a", "b"], ["a", 2], "its names and captions are no texts"),
        ([], [], "its parts do not fit together"),
    ],
)
def test_a_pool_of_no_texts_is_refused(tmp_path: Path, names: list[Any], captions: list[Any], message: str) -> None:
    path = tmp_path / "pool.safetensors"
    tensors = {"audio": torch.eye(len(names)), "text": torch.eye(len(captions))}
    metadata = {"names": json.dumps(names), "captions": json.dumps(captions)}
    save_file({**tensors, "caption_audio": torch.arange(len(captions))}, path, metadata)
    with pytest.raises(RunError, match=rf"pool.safetensors: cannot be read \({message}\); run `python train.py test`"):
        read_pool(path)
