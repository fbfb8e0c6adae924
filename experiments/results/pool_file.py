"""What a test ranked: the embeddings of its pool, kept so that runs can be judged on other pools without a model."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from common.atomic_files import replacing
from common.errors import RunError
from evaluation.embedding_pool import JudgedPool


def write_pool(path: Path, pool: JudgedPool) -> None:
    """Write a pool as safetensors; names and captions are its metadata."""
    tensors = {"audio": pool.audio, "text": pool.text, "caption_audio": pool.caption_audio}
    metadata = {"names": json.dumps(pool.names), "captions": json.dumps(pool.captions)}
    with replacing(path) as beside:
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, beside, metadata)


def read_pool(path: Path) -> JudgedPool:
    """The pool that `write_pool` wrote.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such file; run `python train.py test` for this run first")
    try:
        with safe_open(path, "pt") as file:
            texts: dict[str, Any] = {name: json.loads(value) for name, value in file.metadata().items()}
            pool = JudgedPool(
                file.get_tensor("audio"),
                texts["names"],
                file.get_tensor("text"),
                texts["captions"],
                file.get_tensor("caption_audio"),
            )
            rows = set(pool.caption_audio.tolist())
            if not (
                len(pool.names) == len(pool.audio)
                and len(pool.captions) == len(pool.text) == len(pool.caption_audio)
                and rows <= set(range(len(pool.audio)))
            ):
                raise ValueError("its parts do not fit together")
            return pool
    except (SafetensorError, KeyError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: cannot be read ({error}); run `python train.py test` again") from error
