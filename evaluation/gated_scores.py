"""Scores of experts, some of which are missing: quotients of two products."""

from __future__ import annotations

import torch
from torch import Tensor

from common.errors import RelevanceError
from evaluation.scores import FunctionScores, full_precision


class GatedScores(FunctionScores):
    """Products of vectors, divided by products of gates: weighted means over the experts that an item has.

    With w the weights that a query gives M experts, p an item's presence of each (0 or 1), and t and a their vectors,
    s = sum_e w_e p_e <t_e, a_e> / sum_e w_e p_e. A row holds the vectors of all experts side by side, those of a query
    times w_e, those of an item times p_e, and behind them w or p. So both sums are one product each, exactly, whichever
    experts an item has, and the transposed scores are of the same form.

    Args:
        queries: (Q, D + M) floating.
        items: (N, D + M), on the same device.
        gates: M, columns at the end that are gates, none negative.

    Raises:
        RelevanceError: shapes that do not fit, NaN or inf, or an item (or query) whose gates are all zero.

    >>> queries = torch.tensor([[0.25, 0.0, 0.25, 0.75]])  # one dimension for each of two experts, then their weights
    >>> GatedScores(queries, torch.tensor([[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]]), 2).block(slice(1), slice(2))
    tensor([[1.0000, 0.2500]])
    """

    def __init__(self, queries: Tensor, items: Tensor, gates: int) -> None:
        super().__init__(lambda some, others: gated_scores(some, others, gates), queries, items)
        if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1] or not 0 < gates < items.shape[1]:
            shapes = f"{tuple(queries.shape)} and {tuple(items.shape)}"
            raise RelevanceError(f"queries and items are of shape {shapes}: give both (count, D + {gates})")
        for name, embedded in (("query", queries), ("item", items)):
            empty = (embedded[:, -gates:].amax(1) <= 0).nonzero()
            if len(empty):
                raise RelevanceError(f"{name} {int(empty[0])} has no expert at all, so it has no score: leave it out")
        self.gates = gates

    def transposed(self) -> GatedScores:
        """The same quotient of items and queries."""
        return GatedScores(self.of_items, self.of_queries, self.gates)

    def select(self, queries: Tensor, items: Tensor | None = None) -> GatedScores:
        """The quotient for some queries and items."""
        of_items = self.of_items if items is None else self.of_items[items]
        return GatedScores(self.of_queries[queries], of_items, self.gates)

    def compute(self, queries: Tensor, items: Tensor, out: Tensor) -> None:
        """Write the quotient straight into `out`; finite, since embeddings are and no gates are all zero."""
        gates = self.gates
        with full_precision():
            torch.mm(queries[:, :-gates], items[:, :-gates].T, out=out)
            out.div_(queries[:, -gates:] @ items[:, -gates:].T)


def gated_scores(queries: Tensor, items: Tensor, gates: int) -> Tensor:
    """Scores (Q, N) of rows (Q, D + M) and (N, D + M) whose last M columns are gates; see `GatedScores`."""
    return (queries[:, :-gates] @ items[:, :-gates].T) / (queries[:, -gates:] @ items[:, -gates:].T)
