"""Ranks by counting: where the relevant items stand among all items, without sorting any row.

The rank of a relevant item follows from two counts over its query's scores: how many items score higher (`greater`) and
how many score the same (`equal`, itself included). Both come from the scores of all queries and all items, computed in
blocks of queries, so that memory does not grow with queries x items.

What makes the counts exact:

* the score of a relevant item is read from the block in which it is compared; a dot product computed apart differs in
  its last bits and moves ranks;
* a block holds whole tiles of queries and items. Where scores come from embeddings (`evaluation.scores`) all products
  of a pool have this one shape, because the ragged edge of a BLAS product rounds differently: identical items would not
  tie. With whole tiles a score depends neither on the item's place in the pool nor on the block (so seen with MKL; no
  BLAS promises it), and shares of the queries ranked by several processes are bit for bit those of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.errors import RelevanceError
from evaluation.scores import Scores
from evaluation.ties import TieGroups, tie_groups

Indices = Tensor | npt.NDArray[np.int64]

BLOCK_ELEMENTS = 2**26
"""Scores held at once by default: 256 MiB in fp32."""

_ITEM_TILE = 64  # items to a tile: padding, and the chunks whose maxima lead to the top k
_QUERY_TILE = 16
_BLOCK_QUERIES = 512  # at most: enough for BLAS to run at full speed, few enough for many shares
_CHUNK_ITEMS = 2**14  # at most, in one product: only the last chunk is copied to be padded
_CACHE_ELEMENTS = 2**20  # scores passed over at once on a CPU: 4 MiB stay in cache, which halves the time of a pass
_MAX_ITEMS = 2**24  # counts are summed in fp32, exact up to here


@dataclass(frozen=True)
class RankCounts:
    """Counts for P relevant pairs and the k best items of Q queries, on the device of the scores.

    Attributes:
        query: (P,) int64, the pairs' queries as given.
        item: (P,) int64, the pairs' items as given.
        greater: (P,) int64, items of the pool that score higher than the relevant item.
        equal: (P,) int64, items of the pool that score the same, the relevant item itself included (so at least 1).
        topk_items: (Q, k) int64, best first; of items that tie the one with the smaller index comes first.
        topk_scores: (Q, k) float32.
        items: the size N of the pool.

    Where only a share of the queries was ranked, the last four tensors are zero for the others: the shares' sum is the
    whole.
    """

    query: Tensor
    item: Tensor
    greater: Tensor
    equal: Tensor
    topk_items: Tensor
    topk_scores: Tensor
    items: int

    @property
    def queries(self) -> int:
        """The number Q of queries."""
        return self.topk_items.shape[0]

    @cached_property
    def groups(self) -> TieGroups:
        """The places of all relevant items, on the CPU."""
        return tie_groups(*(each.cpu().numpy() for each in (self.query, self.greater, self.equal)))


@torch.no_grad()
def count_ranks(
    scores: Scores,
    relevant_query: Indices,
    relevant_item: Indices,
    *,
    topk: int = 10,
    block_elements: int = BLOCK_ELEMENTS,
    share: tuple[int, int] = (0, 1),
) -> RankCounts:
    """Count, for every relevant pair, the items that score higher than it and the same; find each query's best items.

    A pass over the scores takes two comparisons for each relevant item of the query that has most of them.

    Besides what the scores are computed from and one block of them it needs hardly any memory.

    Args:
        scores: of Q queries and N items, N <= 2**24.
        relevant_query: (P,) int64, in any order; each query at least once, as often as it has relevant items.
        relevant_item: (P,) int64, the item relevant to the query in the same place.
        topk: how many of the best items to return (all, if there are fewer).
        block_elements: scores held at once (4 bytes each; on a GPU twice that). 16 to 512 queries make a block.
        share: (r, W) to rank only the r-th of W contiguous shares of the queries, r from 0; each has whole blocks, so
            with few queries some have none. Everything is checked whatever the share.

    Raises:
        RelevanceError: scores that are NaN or inf; pairs out of range or given twice; a query without a relevant item;
            topk or block_elements below 1; no such share.

    >>> from evaluation.scores import MatrixScores
    >>> scores = MatrixScores(torch.tensor([[0.9, 0.8, 0.9], [0.1, 0.3, 0.4]]))
    >>> counts = count_ranks(scores, np.array([0, 1]), np.array([0, 0]), topk=2)
    >>> counts.greater.tolist(), counts.equal.tolist()
    ([0, 2], [2, 1])
    >>> counts.topk_items.tolist()
    [[0, 2], [2, 1]]
    """
    if topk < 1:
        raise RelevanceError(f"topk is {topk}: give at least 1")
    blocks = score_blocks(scores, block_elements=block_elements, share=share)
    device, queries, topk = scores.device, scores.queries, min(topk, scores.items)
    query, item = checked_pairs(relevant_query, relevant_item, queries, scores.items, device)
    order = query.argsort(stable=True)
    found = query.bincount(minlength=queries)
    ends = found.cumsum(0)  # (Q,) where a query's pairs end in `order`
    place = torch.empty_like(query)  # (P,) a pair's place among its query's pairs
    place[order] = torch.arange(len(query), device=device) - (ends - found)[query[order]]

    greater, equal = torch.zeros_like(query), torch.zeros_like(query)
    topk_items = torch.zeros(queries, topk, dtype=torch.int64, device=device)
    topk_scores = torch.zeros(queries, topk, dtype=torch.float32, device=device)
    for rows, block in blocks:
        topk_items[rows], topk_scores[rows] = _best(block, topk)
        pairs = order[ends[rows.start] - found[rows.start] : ends[rows.stop - 1]]
        row, column = query[pairs] - rows.start, place[pairs]
        relevant = torch.zeros(len(block), int(found[rows].max()), dtype=torch.int64, device=device)  # (b, R)
        relevant[row, column] = item[pairs]  # queries with fewer than R items keep 0s, whose counts are not read
        above, same = _compare(block, block.gather(1, relevant))
        greater[pairs], equal[pairs] = above[row, column], same[row, column]
    return RankCounts(query, item, greater, equal, topk_items, topk_scores, scores.items)


@torch.no_grad()
def best_items(scores: Scores, topk: int) -> tuple[Tensor, Tensor]:
    """The best items of each query (Q, topk) int64, best first, and their scores; ties: the smaller index first.

    >>> from evaluation.scores import MatrixScores
    >>> best_items(MatrixScores(torch.tensor([[0.5, 0.9, 0.5]])), 2)
    (tensor([[1, 0]]), tensor([[0.9000, 0.5000]]))
    """
    items, values = zip(*(_best(block, min(topk, scores.items)) for _, block in score_blocks(scores)), strict=True)
    return torch.cat(items), torch.cat(values)


def score_blocks(
    scores: Scores, *, block_elements: int = BLOCK_ELEMENTS, share: tuple[int, int] = (0, 1)
) -> Iterator[tuple[slice, Tensor]]:
    """The scores of all items, a block of queries at a time; `share` as in `count_ranks`.

    Yields (rows, block): the slice of queries and their scores (b, N') float32, N' being N and what fills the last
    tiles: columns of -inf. A block is overwritten by the next one.

    Raises:
        RelevanceError: at once for arguments out of range; later for scores that are NaN or inf.
    """
    if block_elements < 1:
        raise RelevanceError(f"block_elements is {block_elements}: give at least 1")
    if not 0 <= share[0] < share[1]:
        raise RelevanceError(f"share is {share}: give (r, W) with r from 0 to W-1")
    if scores.items > _MAX_ITEMS:
        raise RelevanceError(f"{scores.items} items: ranks are exact up to {_MAX_ITEMS} items; split the pool")
    return _score_blocks(scores, block_elements, *share)


def _score_blocks(scores: Scores, block_elements: int, share: int, shares: int) -> Iterator[tuple[slice, Tensor]]:
    width = _even(scores.items, _CHUNK_ITEMS, _ITEM_TILE)
    columns = -(-scores.items // width) * width  # N'
    most = max(_QUERY_TILE, min(_BLOCK_QUERIES, block_elements // columns // _QUERY_TILE * _QUERY_TILE))
    step = _even(scores.queries, most, _QUERY_TILE)
    starts = range(0, scores.queries, step)
    fill = scores.filler(step, width)
    buffer = torch.empty(step, columns, device=scores.device)
    for start in starts[len(starts) * share // shares : len(starts) * (share + 1) // shares]:
        rows = slice(start, min(start + step, scores.queries))
        fill(rows, buffer)
        block = buffer[: rows.stop - start]
        block[:, scores.items :] = -torch.inf
        yield rows, block


def _even(count: int, most: int, tile: int) -> int:
    """The rows of pieces of one size, in whole tiles: as few pieces as can be of at most `most` rows, whole tiles too.

    >>> _even(1045, 512, 16)  # three pieces, of 349 rows and some padding
    352
    """
    pieces = -(-count // most)
    return -(-count // (pieces * tile)) * tile


def checked_pairs(
    relevant_query: Indices, relevant_item: Indices, queries: int, items: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Pairs of a query and a relevant item as two int64 tensors of one length, each index within its range.

    Raises:
        RelevanceError: other types or shapes, or an index out of range.
    """
    query, item = (torch.as_tensor(index, device=device) for index in (relevant_query, relevant_item))
    if query.ndim != 1 or query.shape != item.shape or query.dtype != torch.int64 or item.dtype != torch.int64:
        raise RelevanceError(
            f"relevant_query is {query.dtype} {tuple(query.shape)} and relevant_item {item.dtype} {tuple(item.shape)}: "
            "give two int64 arrays of one length"
        )
    for name, index, size in (("relevant_query", query, queries), ("relevant_item", item, items)):
        outside = index[(index < 0) | (index >= size)]
        if len(outside):
            raise RelevanceError(f"{name} holds {int(outside[0])}, beyond 0..{size - 1}: check how the pairs were made")
    lonely = (query.bincount(minlength=queries) == 0).nonzero()
    if len(lonely):
        raise RelevanceError(
            f"{len(lonely)} of {queries} queries have no relevant item (first: {int(lonely[0])}): leave them out"
        )
    pairs = (query * items + item).sort().values
    copies = pairs[1:][pairs[1:] == pairs[:-1]]
    if len(copies):
        twice = int(copies[0])
        raise RelevanceError(f"query {twice // items} and item {twice % items} are paired twice: give every pair once")
    return query, item


def _slices(scores: Tensor) -> Iterator[slice]:
    """Rows to pass over together: what fits a CPU's cache, the whole block on a GPU."""
    step = max(1, _CACHE_ELEMENTS // scores.shape[1]) if scores.device.type == "cpu" else len(scores)
    return (slice(start, start + step) for start in range(0, len(scores), step))


def _compare(scores: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """For thresholds (b, R): how many of the row's scores (b, N) are greater, and how many equal; (b, R) int64.

    Comparing into fp32 and summing is the quickest of what was measured: about half the time of boolean output.
    """
    greater, equal = torch.empty_like(thresholds), torch.empty_like(thresholds)
    for rows in _slices(scores):
        hits = torch.empty_like(scores[rows])
        for r in range(thresholds.shape[1]):
            threshold = thresholds[rows, r, None]
            greater[rows, r] = torch.gt(scores[rows], threshold, out=hits).sum(1)
            equal[rows, r] = torch.eq(scores[rows], threshold, out=hits).sum(1)
    return greater.long(), equal.long()


def _best(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Columns (b, k) int64 and values of the k largest scores (b, N), N in whole tiles; ties: smaller column first.

    The k largest lie within the k tiles of largest maxima: so the search goes from tiles of 64 to 8 to single scores,
    and only the first of the three takes a pass over all scores.
    """
    best = torch.empty(len(scores), k, dtype=torch.int64, device=scores.device)
    for rows in _slices(scores):
        values = scores[rows]  # (r, N)
        columns = torch.arange(scores.shape[1], device=scores.device).expand(len(values), -1)
        for tile in (_ITEM_TILE, 8, 1):
            values, columns = (x.view(len(values), -1, tile) for x in (values, columns))
            places = _first(values.amax(2), columns[:, :, 0], min(k, values.shape[1]))
            places = places[:, :, None].expand(-1, -1, tile)  # (r, k, tile)
            values, columns = (x.gather(1, places).flatten(1) for x in (values, columns))
        best[rows] = columns
    return best, scores.gather(1, best)


def _first(scores: Tensor, columns: Tensor, k: int) -> Tensor:
    """Where in (r, m) the k largest scores stand; of equal scores those with the smaller column (below 2**31) first.

    `torch.topk` leaves open which of equal values it takes, so score and column are joined in one int64 key: fp32
    values order like their bits read as integers, once those of the negative ones are flipped.
    """
    bits = (scores + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0, its equal
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    keys = (ordered.long() << 32) | (0x7FFFFFFF - columns)
    return keys.topk(k, dim=1).indices
