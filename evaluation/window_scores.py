"""Recordings scored by their windows: a recording's score is that of its best window."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.errors import RelevanceError
from evaluation.ranks import BLOCK_ELEMENTS, score_blocks
from evaluation.scores import Scores

Ints = npt.NDArray[np.int64]


def best_windows(
    scores: Scores, counts: Ints, described: Ints, *, block_elements: int = BLOCK_ELEMENTS
) -> tuple[Tensor, list[npt.NDArray[np.float64]]]:
    """Each recording's best score for each query, and the scores of all windows of the recording a query describes.

    Args:
        scores: of Q queries and V windows, those of a recording one after the other.
        counts: (A,) int64 windows of each recording, at least 1, V in all.
        described: (Q,) int64 the recording of each query, below A.
        block_elements: scores of windows held at once.

    Returns:
        the best scores (Q, A) float32 on the CPU, to rank recordings by; and for each query its recording's window
        scores (W,) float64.

    Raises:
        RelevanceError: counts or recordings that do not fit; scores that are NaN or inf.

    >>> from evaluation.scores import MatrixScores
    >>> best, own = best_windows(MatrixScores(torch.tensor([[0.1, 0.5, 0.3]])), np.array([2, 1]), np.array([0]))
    >>> best.tolist(), own[0].round(1).tolist()
    ([[0.5, 0.30000001192092896]], [0.1, 0.5])
    """
    ends = np.cumsum(counts)
    if len(counts) == 0 or counts.min() < 1 or ends[-1] != scores.items:
        raise RelevanceError(
            f"counts of windows add up to {counts.sum()}, and {scores.items} are scored: give each, from 1"
        )
    if len(described) != scores.queries or described.min() < 0 or described.max() >= len(counts):
        raise RelevanceError(
            f"described names {len(described)} recordings for {scores.queries} queries: give one of each"
        )
    starts = ends - counts
    best = torch.empty(scores.queries, len(counts))
    own: list[npt.NDArray[np.float64]] = []
    for rows, block in score_blocks(scores, block_elements=block_elements):
        values = block[:, : scores.items].cpu().numpy()
        best[rows] = torch.from_numpy(np.maximum.reduceat(values, starts, axis=1))
        recordings = described[rows]
        own += [row[starts[a] : ends[a]].astype(np.float64) for row, a in zip(values, recordings, strict=True)]
    return best, own
