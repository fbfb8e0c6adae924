"""Scores of queries and items as a part: computed a block at a time, whatever they are computed from.

Ranks, metrics and search need no more of a method than this. `EmbeddingScores` is one product (the fast path),
`FunctionScores` calls a matcher's scoring, `MatrixScores` holds what was computed elsewhere; `evaluation.gated_scores`
has the scores of experts, some of which are missing, `evaluation.fused_scores` and `evaluation.reranked_scores` those
of several methods, `evaluation.two_stage_scores` those of two stages.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from common.errors import RelevanceError

Fill = Callable[[slice, Tensor], None]
"""Writes the scores of a slice of queries into the first rows of a block (rows, columns)."""


class Scores(ABC):
    """What Q queries score for N items; the highest ranks first.

    Attributes:
        queries: the number Q.
        items: the number N.
        device: where blocks are computed.
    """

    def __init__(self, queries: int, items: int, device: torch.device) -> None:
        self.queries, self.items, self.device = queries, items, device

    @abstractmethod
    def block(self, queries: slice, items: slice) -> Tensor:
        """The scores (q, n) float32 of some queries and some items.

        Scores of other slices may differ in their last digits, so compare within a block or use `filler`.
        """

    @abstractmethod
    def transposed(self) -> Scores:
        """The same with queries and items exchanged: (N, Q).

        The same numbers, except where a row is scored as a whole (`evaluation.row_scores`): then those of the other
        direction.
        """

    @abstractmethod
    def select(self, queries: Tensor, items: Tensor | None = None) -> Scores:
        """The scores of some queries (q,) int64, and of some items (n,) int64 or of all."""

    def cost(self) -> dict[str, float]:
        """What computing them took so far, by names to be logged under; nothing where it is not worth it."""
        return {}

    def filler(self, rows: int, width: int) -> Fill:
        """What fills a block (rows, columns): at most `rows` queries, and all items in chunks of `width`.

        The function raises RelevanceError for scores that are NaN or inf. Columns beyond the items may hold anything.
        """

        def fill(queries: slice, out: Tensor) -> None:
            for start in range(0, self.items, width):
                items = slice(start, min(start + width, self.items))
                out[: queries.stop - queries.start, items] = finite(self.block(queries, items))

        return fill


class MatrixScores(Scores):
    """Scores (Q, N), floating, that were computed elsewhere.

    Raises:
        RelevanceError: another shape or type.

    >>> MatrixScores(torch.eye(3)[:2]).transposed().block(slice(0, 3), slice(1, 2)).tolist()
    [[0.0], [1.0], [0.0]]
    """

    def __init__(self, matrix: Tensor) -> None:
        if matrix.ndim != 2 or 0 in matrix.shape or not matrix.is_floating_point():
            raise RelevanceError(f"scores are {matrix.dtype} of shape {tuple(matrix.shape)}: give a floating (Q, N)")
        super().__init__(matrix.shape[0], matrix.shape[1], matrix.device)
        self.matrix = matrix

    def block(self, queries: slice, items: slice) -> Tensor:
        """The entries."""
        return self.matrix[queries, items].float()

    def transposed(self) -> MatrixScores:
        """The transposed matrix, not copied."""
        return MatrixScores(self.matrix.T)

    def select(self, queries: Tensor, items: Tensor | None = None) -> MatrixScores:
        """Rows, and columns, of the matrix."""
        rows = self.matrix[queries]
        return MatrixScores(rows if items is None else rows[:, items])


class FunctionScores(Scores):
    """Scores by a function of embedded queries and items, such as a matcher's; autocast is off inside.

    Every call for a ranking has the same two shapes, filled up with copies of the first row: then identical items tie
    wherever they stand, and shares of the queries ranked by several processes give what one process gives.

    Args:
        function: from queries (q, ...) and items (n, ...), float32, to scores (q, n).
        queries: (Q, ...) floating, what was embedded of each query.
        items: (N, ...) floating, on the same device.

    Raises:
        RelevanceError: no queries or items, integers, NaN or inf, or two devices.

    >>> def nearest(queries, items):  # the best of several vectors
    ...     return torch.einsum("qed,nd->qen", queries, items).amax(1)
    >>> FunctionScores(nearest, torch.eye(2)[None], torch.eye(2)).block(slice(0, 1), slice(0, 2)).tolist()
    [[1.0, 1.0]]
    """

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], queries: Tensor, items: Tensor) -> None:
        for name, embedded in (("queries", queries), ("items", items)):
            if embedded.ndim < 2 or 0 in embedded.shape or not embedded.is_floating_point():
                raise RelevanceError(
                    f"{name} are {embedded.dtype} of shape {tuple(embedded.shape)}: give floating embeddings (count, D)"
                )
        if queries.device != items.device:
            raise RelevanceError(
                f"queries are on {queries.device} and items on {items.device}: move them to one device"
            )
        self.peaks = peak("queries", queries), peak("items", items)
        super().__init__(len(queries), len(items), queries.device)
        self.function, self.of_queries, self.of_items = function, queries, items

    def block(self, queries: slice, items: slice) -> Tensor:
        """What the function gives for the slices."""
        return self._computed(self.of_queries[queries].float(), self.of_items[items].float())

    def transposed(self) -> FunctionScores:
        """The function with its arguments exchanged."""
        function = self.function
        return FunctionScores(lambda queries, items: function(items, queries).T, self.of_items, self.of_queries)

    def select(self, queries: Tensor, items: Tensor | None = None) -> FunctionScores:
        """The function on some of what was embedded."""
        of_items = self.of_items if items is None else self.of_items[items]
        return FunctionScores(self.function, self.of_queries[queries], of_items)

    def filler(self, rows: int, width: int) -> Fill:
        """Like `Scores.filler`, in calls of one shape."""
        chunks = [filled_up(chunk, width) for chunk in self.of_items.float().split(width)]

        def fill(queries: slice, out: Tensor) -> None:
            block = filled_up(self.of_queries[queries].float(), rows)
            for chunk, part in zip(chunks, out.split(width, dim=1), strict=True):
                self.compute(block, chunk, part)

        return fill

    def compute(self, queries: Tensor, items: Tensor, out: Tensor) -> None:
        """Write the scores of queries (q, ...) and items (n, ...) into `out` (q, n)."""
        out.copy_(finite(self._computed(queries, items)))

    def _computed(self, queries: Tensor, items: Tensor) -> Tensor:
        with torch.no_grad(), full_precision(), torch.autocast(queries.device.type, enabled=False):
            scores = self.function(queries, items).float()
        if scores.shape != (len(queries), len(items)):
            raise RelevanceError(
                f"the scoring gave {tuple(scores.shape)} for {len(queries)} queries and {len(items)} items: give (Q, N)"
            )
        return scores


class EmbeddingScores(FunctionScores):
    """The products of queries (Q, D) and items (N, D): cosine similarity where they are unit vectors.

    Args:
        queries: any floating dtype; scored in fp32, whatever autocast or the run's precision says (in bf16 most queries
            have ties).
        items: on the same device.

    Raises:
        RelevanceError: embeddings of other shapes, with NaN or inf, or too large for fp32 scores.
    """

    def __init__(self, queries: Tensor, items: Tensor) -> None:
        super().__init__(_product, queries, items)
        for name, embedded in (("queries", queries), ("items", items)):
            if embedded.ndim != 2:
                raise RelevanceError(f"{name} are of shape {tuple(embedded.shape)}: give embeddings (count, D)")
        if queries.shape[1] != items.shape[1]:
            raise RelevanceError(
                f"queries have {queries.shape[1]} dimensions and items {items.shape[1]}: give both the same"
            )
        of_query, of_item = self.peaks
        if max(of_query, of_item, of_query * of_item * queries.shape[1]) > torch.finfo(torch.float32).max:
            raise RelevanceError(
                f"values up to {of_query:.3g} and {of_item:.3g} overflow fp32 scores: normalise the embeddings"
            )

    def transposed(self) -> EmbeddingScores:
        """The product of items and queries."""
        return EmbeddingScores(self.of_items, self.of_queries)

    def select(self, queries: Tensor, items: Tensor | None = None) -> EmbeddingScores:
        """The product of some queries and items."""
        return EmbeddingScores(self.of_queries[queries], self.of_items if items is None else self.of_items[items])

    def compute(self, queries: Tensor, items: Tensor, out: Tensor) -> None:
        """Write the product straight into `out`; finite, since the embeddings are (autocast passes by `out=`)."""
        with full_precision():
            torch.mm(queries, items.T, out=out)


def _product(queries: Tensor, items: Tensor) -> Tensor:
    return queries @ items.T


def peak(name: str, embedded: Tensor) -> float:
    """The largest absolute value of (count, ...).

    Raises:
        RelevanceError: a value is NaN or inf.
    """
    lowest, highest = embedded.detach().flatten(1).aminmax(dim=1)  # (count,) each, NaN if there is any
    bad = (~(lowest.isfinite() & highest.isfinite())).nonzero()
    if len(bad):
        raise RelevanceError(
            f"{name}: embedding {int(bad[0])} holds NaN or inf: look for a diverged model or silent audio"
        )
    return max(-float(lowest.min()), float(highest.max()))


def finite(scores: Tensor) -> Tensor:
    """The scores themselves.

    Raises:
        RelevanceError: one is NaN or inf.
    """
    lowest, highest = scores.aminmax()  # without the memory of a comparison
    if not (lowest.isfinite() and highest.isfinite()):
        raise RelevanceError("scores hold NaN or inf: look for a diverged model")
    return scores


def filled_up(embedded: Tensor, rows: int) -> Tensor:
    """(count, ...) with copies of the first row below, `rows` in all; not copied if there is nothing to add."""
    missing = rows - len(embedded)
    return torch.cat([embedded, embedded[:1].expand(missing, *embedded.shape[1:])]) if missing else embedded


@contextmanager
def full_precision() -> Iterator[None]:
    """Matrix products of fp32 in fp32, not in TF32 or bf16, whatever the run has set."""
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
