"""What a test ranked: the embeddings of its pool, kept so that runs can be judged on other pools without a model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from relevance.metrics import RankingResult, retrieval_metrics
from reporting.errors import RunError
from reporting.files import replacing


class JudgedPool(NamedTuple):
    """Recordings and captions of a split as a model saw them.

    Attributes:
        audio: (A, D) float32 unit vectors; names: A file names, all different.
        text: (C, D) float32 unit vectors; captions: C sentences; caption_audio: (C,) int64, the row of `audio`
            that each caption describes.
    """

    audio: Tensor
    names: list[str]
    text: Tensor
    captions: list[str]
    caption_audio: Tensor

    def judge(self) -> dict[str, RankingResult]:
        """Both directions over the whole pool."""
        rows = torch.arange(len(self.text))
        return {
            "text_to_audio": retrieval_metrics(self.text, self.audio, rows, self.caption_audio),
            "audio_to_text": retrieval_metrics(self.audio, self.text, self.caption_audio, rows),
        }

    def only(self, names: set[str]) -> "JudgedPool":
        """The recordings called so, in their order, and their captions."""
        kept = torch.tensor([name in names for name in self.names], dtype=torch.bool)  # (A,)
        new_row = torch.cumsum(kept, 0) - 1  # (A,)
        described = kept[self.caption_audio]  # (C,)
        return JudgedPool(
            self.audio[kept],
            [name for name in self.names if name in names],
            self.text[described],
            [caption for caption, is_kept in zip(self.captions, described.tolist(), strict=True) if is_kept],
            new_row[self.caption_audio[described]],
        )


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


def on_common_recordings(pools: Sequence[JudgedPool]) -> list[JudgedPool]:
    """Each pool with the recordings that all of them have.

    Raises:
        RunError: there are none, or captions of the same recording differ.
    """
    names = set.intersection(*(set(pool.names) for pool in pools))
    if not names:
        raise RunError("the runs have no test recording in common: they were judged on different data")
    common = [pool.only(names) for pool in pools]
    said = [_captions_by_name(pool) for pool in common]
    for other in said[1:]:
        if differing := sorted(name for name in names if said[0][name] != other[name]):
            raise RunError(f"captions of '{differing[0]}' differ between the runs: they were judged on different data")
    return common


def _captions_by_name(pool: JudgedPool) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {name: [] for name in pool.names}
    for caption, row in zip(pool.captions, np.asarray(pool.caption_audio).tolist(), strict=True):
        said[pool.names[row]].append(caption)
    return {name: sorted(captions) for name, captions in said.items()}
