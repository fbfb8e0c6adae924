"""What a test ranked: the embeddings of its pool, kept so that runs can be evaluated on other pools without a model."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from common.atomic_files import replacing
from common.errors import RunError
from common.text import given_twice
from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import Evaluation
from evaluation.gated_scores import GatedScores
from evaluation.scores import EmbeddingScores
from experiments.provenance import weights_sha256
from experiments.results.experiment import STAGES

TENSORS = ("audio", "text", "caption_audio")
RELEVANCE = "relevance"  # where it is known
METADATA = {"names", "captions", "scores", "gates"}


def with_names(evaluation: Evaluation, table: Any) -> Evaluation:
    """An evaluation with the file names and captions that the split's table gives."""
    names = dict(zip(table.audio["audio_id"].to_pylist(), table.audio["name"].to_pylist(), strict=True))
    captions = dict(zip(table.captions["caption_id"].to_pylist(), table.captions["caption"].to_pylist(), strict=True))
    return evaluation.named(names, captions)


def write_pool(path: Path, evaluation: Evaluation) -> None:
    """Write a pool with names as safetensors; names and captions are its metadata.

    The metadata say how many columns are gates of experts. Where scores are made otherwise than by products, they say
    that too: the file alone cannot be ranked then.
    """
    pool = evaluation.pool
    tensors = {"audio": pool.audio, "text": pool.text, "caption_audio": pool.caption_audio}
    if pool.relevance is not None:
        tensors[RELEVANCE] = pool.relevance
    metadata = {"names": json.dumps(pool.names), "captions": json.dumps(pool.captions)}
    if isinstance(evaluation.scores, GatedScores):
        metadata["gates"] = json.dumps(evaluation.scores.gates)
    elif not isinstance(evaluation.scores, EmbeddingScores):
        metadata["scores"] = json.dumps(type(evaluation.scores).__name__)
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as beside:
        save_file(tensors, beside, {**metadata, "sha256": json.dumps(_sha256(tensors, metadata))})


def read_pool(path: Path) -> EmbeddingPool:
    """The pool that `write_pool` wrote, under ids of its own.

    Raises:
        RunError: there is none, it cannot be read, its content is not what was written or no pool, it holds NaN, or its
            scores are not made by products of its embeddings.
    """
    again = f"run `python train.py {STAGES.get(path.stem.removeprefix('pool_'), 'test')}`"
    if not path.is_file():
        raise RunError(f"{path}: no such file; {again} for this run first")
    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata()
            texts: dict[str, Any] = {name: json.loads(value) for name, value in metadata.items()}
            tensors = {name: file.get_tensor(name) for name in (*TENSORS, *({RELEVANCE} & set(file.keys())))}
        written = texts.pop("sha256", None)  # files of version 0.1.0 have none
        metadata.pop("sha256", None)
        if not metadata.keys() <= METADATA or written not in (None, _sha256(tensors, metadata)):
            raise ValueError("it changed after it was written: its checksum is another one")
        pool = None if "scores" in texts else _pool_of(tensors, texts)
    except (SafetensorError, KeyError, ValueError, AttributeError, RecursionError) as error:
        raise RunError(f"{path}: cannot be read ({error}); {again} again") from error
    if pool is None:
        raise RunError(
            f"{path}: its model scores by more than a product of embeddings ({texts['scores']}), so the file alone "
            "cannot be ranked; leave this run out"
        )
    return pool


def _pool_of(tensors: Mapping[str, Tensor], texts: Mapping[str, Any]) -> EmbeddingPool:
    """The pool of a file's tensors and texts, whose scores are products.

    Raises:
        ValueError: it is none, or cannot be ranked.
    """
    audio, text, caption_audio = (tensors[name] for name in TENSORS)
    names, captions, gates, relevance = texts["names"], texts["captions"], texts.get("gates", 0), tensors.get(RELEVANCE)
    for words in (names, captions):
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("its names and captions are no texts")
    rows = range(len(audio)) if audio.ndim else range(0)
    if not (
        audio.ndim == text.ndim == 2
        and audio.is_floating_point()
        and text.is_floating_point()
        and not caption_audio.is_floating_point()
        and (len(audio), len(text)) == (len(names), len(captions))
        and caption_audio.shape == (len(captions),)
        and audio.shape[1] == text.shape[1]
        and len(captions) > 0
        and set(caption_audio.tolist()) == set(rows)
        and isinstance(gates, int)
        and 0 <= gates < audio.shape[1]
        and (relevance is None or relevance.shape == (len(audio), len(audio)))
    ):
        raise ValueError("its parts do not fit together")
    if (twice := given_twice(names)) is not None:
        raise ValueError(f"two of its recordings are called '{twice}'")
    for side, embeddings, called in (("recording", audio, names), ("caption", text, captions)):
        if odd := (~embeddings.isfinite().all(1)).nonzero().flatten().tolist():
            raise ValueError(f"the embedding of {side} '{called[odd[0]]}' holds NaN or inf")
    if relevance is not None and not bool((relevance.isfinite() & (relevance >= 0)).all()):
        raise ValueError("its known relevance holds NaN, inf or negative values")
    return EmbeddingPool.of_texts(audio, names, text, captions, caption_audio.long(), gates, relevance)


def _sha256(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Checksum of all that a pool's file holds."""
    content = json.dumps([weights_sha256(tensors), *sorted(metadata.items())])
    return hashlib.sha256(content.encode()).hexdigest()
