"""How well a pool is ranked where the relevance of every recording to every other is known."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evaluation.embedding_pool import Pool
from evaluation.ndcg import ndcg_from_embeddings


def graded_ndcg(pool: Pool, known: npt.NDArray[np.float32] | None) -> tuple[dict[str, Tensor], dict[str, float]]:
    """NDCG@10 (Q,) of each direction, and its mean for a scorer that knows nothing.

    Args:
        pool: of A recordings.
        known: (A, A) relevance in [0, 1] between the recordings of the split. Both results are empty where it is not
            known, or where the pool is only a part of the split.
    """
    text, audio, described = pool.text, pool.audio, pool.caption_audio
    if known is None or len(known) != len(audio):
        return {}, {}
    truth = torch.as_tensor(np.asarray(known), device=audio.device)  # (A, A)
    sides = {
        "text_to_audio": (text, audio, lambda rows: truth[described[rows]]),
        "audio_to_text": (audio, text, lambda rows: truth[rows][:, described]),
    }
    graded = {name: ndcg_from_embeddings(*side) for name, side in sides.items()}
    blind = {
        name: float(ndcg_from_embeddings(queries, torch.zeros_like(items), gains_of).nanmean())
        for name, (queries, items, gains_of) in sides.items()
    }
    return graded, blind
