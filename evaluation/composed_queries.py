"""Composed queries: a recording and words on what is to be different lead to another recording."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from common.errors import RelevanceError
from evaluation.metrics import chance, per_query, summarise
from evaluation.ranks import count_ranks
from evaluation.scores import EmbeddingScores, Scores
from evaluation.ties import Ints, TieGroups, tie_groups


def composed(audio: Tensor, text: Tensor, weight: float) -> Tensor:
    """One vector of a recording and a text: weight * audio + (1 - weight) * text, at length 1.

    Args:
        audio: (Q, D) unit vectors of recordings.
        text: (Q, D) unit vectors of texts, of the same model.
        weight: of the recording; 0 leaves the text alone, 1 the recording.

    Returns:
        (Q, D) float32.

    Raises:
        RelevanceError: other shapes, or a weight out of [0, 1].

    >>> composed(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 0.5)
    tensor([[0.7071, 0.7071]])
    """
    if audio.ndim != 2 or audio.shape != text.shape:
        raise RelevanceError(
            f"recordings are of shape {tuple(audio.shape)} and texts {tuple(text.shape)}: give one row (Q, D) for each"
        )
    if not 0 <= weight <= 1:
        raise RelevanceError(f"the weight of the recording is {weight}: give a number from 0 to 1")
    return F.normalize(weight * audio.float() + (1 - weight) * text.float(), dim=1)


def ranks_without_own(scores: Scores, own: Ints, target: Ints) -> TieGroups:
    """The places of the targets, when each query's own recording is left out of its ranking.

    Whether the own recording stands before the target, or ties with it, follows from the counts of both, which are
    made of the same block of scores: of two items the one with fewer items above it scores higher, and equal ones have
    equally many. So no score is compared that was computed twice.

    Args:
        scores: of Q queries and N items.
        own: (Q,) int64, the item that each query is made of.
        target: (Q,) int64, the item that it is to find.

    Raises:
        RelevanceError: as `count_ranks`, such as an own item that is the target.
    """
    query = np.arange(len(own))
    counts = count_ranks(scores, np.concatenate([query, query]), np.concatenate([own, target]), topk=1)
    (above_own, greater), (_, equal) = (each.cpu().numpy().reshape(2, -1) for each in (counts.greater, counts.equal))
    return tie_groups(query, greater - (above_own < greater), equal - (above_own == greater))


def composed_metrics(
    pool: Tensor, text: Tensor, own: npt.NDArray[np.int64], target: npt.NDArray[np.int64], weight: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics of composed queries as `evaluation.metrics.summarise` calls them, and those of chance.

    Args:
        pool: (A, D) unit vectors of all recordings.
        text: (Q, D) unit vectors of what is to be different.
        own: (Q,) int64, the recording that each query begins with; it is not ranked, so A - 1 items are.
        target: (Q,) int64, the recording that it is to find.
        weight: of the recording, see `composed`.

    Raises:
        RelevanceError: as `composed` and `ranks_without_own`.
    """
    scores = EmbeddingScores(composed(pool[torch.as_tensor(own)], text, weight), pool.float())
    items = len(pool) - 1
    return summarise(per_query(ranks_without_own(scores, own, target)), items), chance(items)
