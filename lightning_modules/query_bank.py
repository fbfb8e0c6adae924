"""The bank of training captions that QB-Norm reads: their scores for the recordings of a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from common.errors import ModelError
from evaluation.scores import Scores

if TYPE_CHECKING:
    from lightning_modules.retrieval_module import RetrievalModule

BATCH = 256
"""Captions that are embedded at a time."""


def training_captions(data: Any, most: int | None = None) -> list[str]:
    """Captions of a data module's training split: all, or at most so many, evenly spaced."""
    captions, _ = data.read_captions()
    ids = data.caption_ids("train").tolist()
    return [captions[i] for i in ids[:: 1 if most is None else max(1, -(-len(ids) // most))]]


@torch.inference_mode()
def bank_scores(model: RetrievalModule, audio: Tensor, most: int | None = None) -> Scores:
    """Scores (B, A) of training captions for embedded recordings (A, ...); no audio of the training split is read.

    Args:
        model: in evaluation mode, with the data module that it was trained on.
        audio: as the model embeds recordings.
        most: captions at most; None: all.

    Raises:
        ModelError: the data have no training captions.
    """
    texts = training_captions(model.captions_source(), most)
    if not texts:
        raise ModelError("model.normalisation: QBNorm reads training captions, and these data have none; leave it out")
    embedded = [model.embed_text(texts[begin : begin + BATCH]) for begin in range(0, len(texts), BATCH)]
    return model.matcher.pool_scores(torch.cat(embedded), audio)
