"""Scores that are made of whole rows of other scores: ranks, candidates and sums over all items need them."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from common.errors import RelevanceError
from evaluation.scores import Fill, Scores, finite


class RowScores(Scores):
    """Scores of one or more methods for the same queries and items, combined a row at a time.

    Besides what its parts need it holds one block of each of them. A selection of items does not change their scores:
    they are those of the whole row.

    Args:
        parts: scores of one shape, on one device.

    Raises:
        RelevanceError: none, or parts of different shapes or devices.
    """

    def __init__(self, parts: Sequence[Scores]) -> None:
        shapes = {(part.queries, part.items, str(part.device)) for part in parts}
        if len(shapes) != 1:
            listed = ", ".join(f"{queries} x {items} on {device}" for queries, items, device in sorted(shapes))
            raise RelevanceError(
                f"scores to combine are {listed or 'missing'}: give some for the same queries and items"
            )
        super().__init__(parts[0].queries, parts[0].items, parts[0].device)
        self.parts = list(parts)
        self.columns: Tensor | None = None

    @abstractmethod
    def rows(self, parts: list[Tensor]) -> Tensor:
        """The scores (q, N) from those of each part for the same q queries and all N items, float32."""

    def block(self, queries: slice, items: slice) -> Tensor:
        """A part of whole rows."""
        made = self.rows([part.block(queries, slice(0, part.items)) for part in self.parts])
        return (made if self.columns is None else made[:, self.columns])[:, items]

    def transposed(self) -> Scores:
        """The same method on the transposed parts: its rows are another direction's, so its scores are others too."""
        return self._on([part.transposed() for part in self._of_all_items("exchanged")], None)

    def select(self, queries: Tensor, items: Tensor | None = None) -> Scores:
        """Some rows, and of these some columns."""
        columns = self.columns if items is None else items if self.columns is None else self.columns[items]
        return self._on([part.select(queries) for part in self.parts], columns)

    def filler(self, rows: int, width: int) -> Fill:
        """Like `Scores.filler`: each row is made once, from blocks of the parts."""
        whole = self.parts[0].items
        fills = [part.filler(rows, width) for part in self.parts]
        blocks = [torch.empty(rows, -(-whole // width) * width, device=self.device) for _ in fills]

        def fill(queries: slice, out: Tensor) -> None:
            count = queries.stop - queries.start
            for fill_part, block in zip(fills, blocks, strict=True):
                fill_part(queries, block)
            made = finite(self.rows([block[:count, :whole] for block in blocks]))
            out[:count, : self.items] = made if self.columns is None else made[:, self.columns]

        return fill

    def _on(self, parts: list[Scores], columns: Tensor | None) -> RowScores:
        other = copy.copy(self)
        other.parts, other.columns = parts, columns
        other.queries = parts[0].queries
        other.items = parts[0].items if columns is None else len(columns)
        return other

    def _of_all_items(self, what: str) -> list[Scores]:
        if self.columns is not None:
            raise RelevanceError(f"scores of selected items cannot be {what}: do it before the selection")
        return self.parts
