"""The unit vectors nearest to one: all compared below 100,000, FAISS' inverted file with exact scores above.

FAISS: Douze et al. 2024, "The Faiss library"; imported only here and for captions.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from common.atomic_files import replacing
from evaluation.ranks import score_blocks
from evaluation.scores import EmbeddingScores
from retrieval.search_store import as_tensor

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
EXACT_BELOW = 100_000  # vectors
NPROBE = 64  # lists looked into, of 2 sqrt(V)
TRAINING_ROWS = 64  # for each list's centre
SPARE = 4  # times as many candidates as are wanted are scored exactly
BLOCK = 65_536  # vectors added at a time


class VectorSearch:
    """Unit vectors (V, D), searched by one.

    Args:
        vectors: may be mapped from a file.
        exact_below: with fewer vectors each is compared; with more, 8-bit copies in an inverted file (a quarter of the
            memory) give candidates, which are scored exactly.
        file: where the inverted file is kept; None: it is not.

    Attributes:
        approximate: whether the inverted file is there; it is not where FAISS is not installed, which is told.
    """

    def __init__(self, vectors: Floats, *, exact_below: int = EXACT_BELOW, file: Path | None = None) -> None:
        self.vectors = vectors
        self.pool = as_tensor(vectors)
        self.exact_below = exact_below
        self._index = None if len(vectors) < exact_below else _inverted_file(vectors, file)

    @property
    def approximate(self) -> bool:
        """Whether candidates come from an inverted file."""
        return self._index is not None

    def scores(self, query: Floats, rows: Ints | None = None) -> Floats:
        """Products (V,) of a unit vector (D,) and all vectors, or those in `rows`, as in an evaluation."""
        pool = self.pool if rows is None else as_tensor(self.vectors[rows])
        _, block = next(score_blocks(EmbeddingScores(torch.from_numpy(query)[None], pool)))
        found: Floats = block[0, : len(pool)].numpy()
        return found

    def nearest(self, query: Floats, count: int, rows: Ints | None = None) -> tuple[Ints, Floats]:
        """About `count` vectors or more nearest to a unit vector (D,), in no order, and their exact products.

        Args:
            query: unit vector (D,).
            count: how many are wanted at least.
            rows: those that may be found, ascending; None: all.
        """
        size = len(self.vectors) if rows is None else len(rows)
        if self._index is None or size < self.exact_below or count * SPARE > size // 20:
            every = np.arange(len(self.vectors)) if rows is None else rows
            return every, self.scores(query, rows)
        faiss: Any = _faiss()
        selected = {}
        if rows is not None:
            allowed = np.zeros(len(self.vectors), bool)
            allowed[rows] = True
            selected["sel"] = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        options = faiss.SearchParametersIVF(nprobe=NPROBE, **selected)
        _, ids = self._index.search(query[None], count * SPARE, params=options)
        found: Ints = np.sort(ids[0][ids[0] >= 0])
        return found, self.vectors[found] @ query


def _inverted_file(vectors: Floats, file: Path | None) -> Any | None:
    faiss = _faiss()
    if faiss is None:
        log.warning(
            "%s vectors are compared one by one, since FAISS is not installed; pip install 'audio-relevance[search]'",
            f"{len(vectors):,}",
        )
        return None
    if file is not None and file.is_file():
        try:
            index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP)
            if (index.ntotal, index.d) == vectors.shape:
                return index
        except RuntimeError:
            log.warning("%s: cannot be read, so it is made again", file)
    log.info("sorting %d vectors into lists; this is kept", len(vectors))
    dim = vectors.shape[1]
    lists = round(2 * len(vectors) ** 0.5)
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dim), dim, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, False
    )
    index.cp.min_points_per_centroid = 1  # it would only warn
    rows = np.random.default_rng(0).choice(len(vectors), min(TRAINING_ROWS * lists, len(vectors)), replace=False)
    index.train(np.ascontiguousarray(vectors[np.sort(rows)]))
    for begin in range(0, len(vectors), BLOCK):
        index.add(np.ascontiguousarray(vectors[begin : begin + BLOCK]))
    if file is not None:
        for former in file.parent.glob(f"{file.name.split('.')[0]}.*.faiss"):
            former.unlink()
        with replacing(file) as beside:
            faiss.write_index(index, str(beside))
    return index


def _faiss() -> Any | None:
    try:
        import faiss
    except ImportError:
        return None
    return faiss
