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
from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import Evaluation
from evaluation.gated_scores import GatedScores
from evaluation.scores import EmbeddingScores
from experiments.provenance import weights_sha256
from experiments.run_folder import RUN_TEST

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
        RunError: there is none, it cannot be read, its content is not what was written, it holds NaN, or its scores are
            not made by products of its embeddings.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such file; {RUN_TEST} for this run first")
    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata()
            texts: dict[str, Any] = {name: json.loads(value) for name, value in metadata.items()}
            tensors = {name: file.get_tensor(name) for name in (*TENSORS, *({RELEVANCE} & set(file.keys())))}
            written = texts.pop("sha256", None)  # files of version 0.1.0 have none
            metadata.pop("sha256", None)
            if not metadata.keys() <= METADATA or written not in (None, _sha256(tensors, metadata)):
                raise ValueError("it changed after it was written: its checksum is another one")
            audio, text, caption_audio = (tensors[name] for name in TENSORS)
            described = texts["names"], text, texts["captions"], caption_audio
            pool = EmbeddingPool.of_texts(audio, *described, int(texts.get("gates", 0)), tensors.get(RELEVANCE))
            rows = set(pool.caption_audio.tolist())
            if not all(isinstance(text, str) for text in (*pool.names, *pool.captions)):
                raise ValueError("its names and captions are no texts")
            if not (
                len(pool.captions) > 0
                and len(pool.names) == len(pool.audio)
                and len(pool.captions) == len(pool.text) == len(pool.caption_audio)
                and rows <= set(range(len(pool.audio)))
                and (pool.relevance is None or pool.relevance.shape == (len(audio), len(audio)))
            ):
                raise ValueError("its parts do not fit together")
            for side, embeddings, names in (("recording", audio, pool.names), ("caption", text, pool.captions)):
                odd = (~embeddings.flatten(1).isfinite().all(1)).nonzero().flatten().tolist()
                if odd:
                    raise ValueError(f"the embedding of {side} '{names[odd[0]]}' holds NaN or inf")
    except (SafetensorError, KeyError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: cannot be read ({error}); {RUN_TEST} again") from error
    if "scores" in texts:
        raise RunError(
            f"{path}: its model scores by more than a product of embeddings ({texts['scores']}), so the file alone "
            "cannot be ranked; leave this run out"
        )
    return pool


def _sha256(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Checksum of all that a pool's file holds."""
    content = json.dumps([weights_sha256(tensors), *sorted(metadata.items())])
    return hashlib.sha256(content.encode()).hexdigest()
