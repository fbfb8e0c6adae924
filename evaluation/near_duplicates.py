"""Recordings that sound nearly the same, by the cosine similarity of their embeddings."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.errors import RelevanceError

Vectors = npt.NDArray[np.float32]
BLOCK_ELEMENTS = 2**22
"""Similarities held at once: 16 MiB."""


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of recordings of two sets, or of one, that are at least as similar as a threshold.

    Attributes:
        pairs: (P, 2) int64, rows of the first and the second set, most similar first; at most as many as asked for.
        cosine: (P,) float32.
        found: pairs there are.
        concerned: recordings of the second set that are in one of them.
        nearest: (N,) float32, each recording of the second set's highest similarity to one of the first.
    """

    pairs: npt.NDArray[np.int64]
    cosine: Vectors
    found: int
    concerned: int
    nearest: Vectors


def near_duplicates(
    first: Vectors,
    second: Vectors | None = None,
    *,
    threshold: float = 0.95,
    most: int = 1000,
    block_elements: int = BLOCK_ELEMENTS,
) -> NearDuplicates:
    """Find the pairs, a block of similarities at a time; memory does not grow with M x N.

    Args:
        first: (M, D) unit vectors.
        second: (N, D) unit vectors; None: pairs within the first set, each once, none of a recording with itself.
        threshold: lowest cosine similarity of a pair.
        most: how many pairs to keep.
        block_elements: similarities held at once.

    Raises:
        RelevanceError: vectors of other shapes or not of length 1, a set that is empty, or a threshold out of [-1, 1].

    >>> vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    >>> found = near_duplicates(vectors, threshold=0.7)
    >>> found.pairs.tolist(), found.found, found.concerned, [round(value, 2) for value in found.nearest.tolist()]
    ([[0, 1]], 1, 2, [0.8, 0.8, 0.6])
    """
    within = second is None
    other = first if second is None else second
    _check(first, other, threshold)
    tile = max(1, math.isqrt(block_elements))
    nearest = np.full(len(other), -np.inf, np.float32)
    seen = np.zeros(len(other), bool)
    pairs, cosines, found = np.empty((0, 2), np.int64), np.empty(0, np.float32), 0
    for top, left in itertools.product(range(0, len(first), tile), range(0, len(other), tile)):
        block = np.clip(first[top : top + tile] @ other[left : left + tile].T, -1, 1)  # (m, n)
        if within:  # a recording is no duplicate of itself
            block[np.arange(top, top + len(block))[:, None] == np.arange(left, left + block.shape[1])] = -np.inf
        np.maximum(nearest[left : left + tile], block.max(0), out=nearest[left : left + tile])
        row, column = (block >= threshold).nonzero()
        seen[left + column] = True
        where = np.stack([row + top, column + left], 1)
        kept = where[:, 0] < where[:, 1] if within else np.ones(len(where), bool)
        found += int(kept.sum())
        pairs = np.concatenate([pairs, where[kept]])
        cosines = np.concatenate([cosines, block[row, column][kept]])
        order = np.lexsort((pairs[:, 1], pairs[:, 0], -cosines))[:most]
        pairs, cosines = pairs[order], cosines[order]
    return NearDuplicates(pairs, cosines, found, int(seen.sum()), nearest)


def _check(first: Vectors, second: Vectors, threshold: float) -> None:
    if not -1 <= threshold <= 1:
        raise RelevanceError(f"the threshold is {threshold}: give a cosine similarity, from -1 to 1")
    for vectors in (first, second):
        if vectors.ndim != 2 or not len(vectors):
            raise RelevanceError(f"vectors are of shape {vectors.shape}: give (count, D) of at least one recording")
        lengths = np.linalg.norm(vectors, axis=1)
        odd = np.flatnonzero(~(abs(lengths - 1) <= 1e-3))  # NaN is odd too
        if len(odd):
            raise RelevanceError(f"vector {odd[0]} has length {lengths[odd[0]]:.3g}: give unit vectors")
    if first.shape[1] != second.shape[1]:
        raise RelevanceError(f"vectors have {first.shape[1]} and {second.shape[1]} dimensions: give both the same")
