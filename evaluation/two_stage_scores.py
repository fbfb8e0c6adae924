"""Scores of two stages: the best items of a first one, scored again pair by pair."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from common.errors import RelevanceError
from evaluation.scores import Fill, Scores, filled_up, finite, full_precision

PAIRS = 1024
"""Pairs that are scored in one call."""


@dataclass
class Cost:
    """What the second stage took in this process: pairs that were scored, and seconds."""

    pairs: int = 0
    seconds: float = 0.0


class TwoStageScores(Scores):
    """A query's `top` best items of a first stage, scored again; they stand above all others, which keep their scores.

    Scores are comparable within a query alone: those of the second stage are moved so that the lowest of them is just
    above the highest of the others. Each query is scored once and kept (12 `top` bytes), however often it is asked
    for; besides that and the block of the first stage, `PAIRS` pairs are held at once.

    Pairs alone are computed by the second stage, so it may be far too slow for all of a pool.

    Unlike other scores, those of the other direction (`transposed`) are not the same ones: there an item's best queries
    are scored again.

    Args:
        first: of Q queries and N items.
        of_pairs: from queries (P, ...) and the items in the same places (P, ...), float32, to scores (P,); always P =
            `PAIRS`, filled up with copies. Autocast is off inside.
        queries: (Q, ...) what was embedded of each query.
        items: (N, ...) floating, on the same device.
        top: how many items of a query.

    Raises:
        RelevanceError: `top` is below 1, or the first stage has other queries or items.

    >>> from evaluation.scores import MatrixScores
    >>> first, embedded = MatrixScores(torch.tensor([[0.9, 0.8, 0.1]])), torch.tensor([[1.0], [2.0], [3.0]])
    >>> reranked = TwoStageScores(first, lambda query, item: item[:, 0], embedded[:1], embedded, top=2)
    >>> reranked.block(slice(1), slice(3))
    tensor([[0.1000, 1.1000, 0.1000]])
    """

    def __init__(
        self, first: Scores, of_pairs: Callable[[Tensor, Tensor], Tensor], queries: Tensor, items: Tensor, top: int
    ) -> None:
        if top < 1:
            raise RelevanceError(f"top is {top}: give at least 1")
        if (first.queries, first.items) != (len(queries), len(items)):
            raise RelevanceError(
                f"the first stage scores {first.queries} queries and {first.items} items, but {len(queries)} and "
                f"{len(items)} are given to score again: give the same"
            )
        super().__init__(first.queries, first.items, first.device)
        self.first, self.of_pairs, self.of_queries, self.of_items = first, of_pairs, queries, items
        self.top = min(top, first.items)
        self.spent = Cost()
        self._best = torch.zeros(self.queries, self.top, dtype=torch.int64, device=self.device)
        self._values = torch.full((self.queries, self.top), torch.nan, device=self.device)  # NaN: not scored yet
        self._other: TwoStageScores | None = None

    def block(self, queries: slice, items: slice) -> Tensor:
        """Scores of both stages; whole rows are computed."""
        rows = range(self.queries)[queries]
        out = torch.empty(len(rows), self.items, device=self.device)
        self.filler(len(rows), self.items)(slice(rows.start, rows.stop), out)
        return out[:, items]

    def transposed(self) -> TwoStageScores:
        """The first stage transposed, and the best queries of each item scored again; always the same object."""
        if self._other is None:
            of_pairs = self.of_pairs
            first = self.first.transposed()
            self._other = TwoStageScores(
                first, lambda queries, items: of_pairs(items, queries), self.of_items, self.of_queries, self.top
            )
            self._other._other, self._other.spent = self, self.spent
        return self._other

    def select(self, queries: Tensor, items: Tensor | None = None) -> TwoStageScores:
        """Both stages on some queries and items."""
        of_items = self.of_items if items is None else self.of_items[items]
        return TwoStageScores(
            self.first.select(queries, items), self.of_pairs, self.of_queries[queries], of_items, self.top
        )

    def cost(self) -> dict[str, float]:
        """Pairs and seconds of the second stage, of both directions together."""
        return {"reranked_pairs": float(self.spent.pairs), "rerank_seconds": self.spent.seconds}

    def filler(self, rows: int, width: int) -> Fill:
        """Like `Scores.filler`."""
        fill_first = self.first.filler(rows, width)

        def fill(queries: slice, out: Tensor) -> None:
            fill_first(queries, out)
            block = out[: queries.stop - queries.start, : self.items]
            if self._values[queries].isnan().any():
                self._score_again(queries, block)
            best, values = self._best[queries], self._values[queries]
            if self.top < self.items:
                others = block.scatter(1, best, -torch.inf).amax(1, keepdim=True)
                above = torch.nextafter(others, torch.full_like(others, torch.inf))
                values = values - values.amin(1, keepdim=True) + above
            block.scatter_(1, best, values)

        return fill

    def _score_again(self, queries: slice, block: Tensor) -> None:
        began = time.perf_counter()
        best = block.sort(dim=1, descending=True, stable=True).indices[:, : self.top]  # ties: the smaller index first
        numbers = torch.arange(queries.start, queries.stop, device=self.device).repeat_interleave(self.top)
        parts = []
        with torch.no_grad(), full_precision(), torch.autocast(self.device.type, enabled=False):
            for some, others in zip(numbers.split(PAIRS), best.flatten().split(PAIRS), strict=True):
                pair = filled_up(self.of_queries[some].float(), PAIRS), filled_up(self.of_items[others].float(), PAIRS)
                parts.append(self.of_pairs(*pair)[: len(some)].float())
        self._best[queries] = best
        self._values[queries] = finite(torch.cat(parts).view(-1, self.top))
        self.spent.pairs += len(numbers)
        self.spent.seconds += time.perf_counter() - began
