"""The bank of training captions that QB-Norm reads: their scores for the recordings of a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from common.errors import ModelError
from evaluation.scores import Scores

if TYPE_CHECKING:
    from lightning_modules.retrieval_module import RetrievalModule

BATCH = 256
"""Captions that are embedded at a time."""


@torch.inference_mode()
def bank_scores(model: RetrievalModule, audio: Tensor, most: int | None = None) -> Scores:
    """Scores (B, A) of training captions for embedded recordings (A, ...); no audio of the training split is read.

    Args:
        model: in evaluation mode, with the data module that it was trained on.
        audio: as the model embeds recordings.
        most: captions at most, evenly spaced over the split; None: all.

    Raises:
        ModelError: the data have no training captions.
    """
    datamodule = model.captions_source()
    captions, _ = datamodule.read_captions()
    ids = datamodule.caption_ids("train").tolist()
    if not ids:
        raise ModelError("model.normalisation: QBNorm reads training captions, and these data have none; leave it out")
    texts = [captions[i] for i in ids[:: 1 if most is None else -(-len(ids) // most)]]
    embedded = [model.embed_text(texts[begin : begin + BATCH]) for begin in range(0, len(texts), BATCH)]
    return model.matcher.pool_scores(torch.cat(embedded), audio)
