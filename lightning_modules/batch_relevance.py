"""Relevance of a training batch: this rank's pairs, or mixes of pairs, against those of all ranks."""

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor

from common.directions import Direction
from datamodules.batch import Batch
from lightning_modules.distributed import gather_ids
from relevance.base import Relevance
from relevance.mixes import MixParts, relevance_of_mixes


class BatchRelevance(NamedTuple):
    """Relevance of a batch, and whose it is.

    Attributes:
        values: (Q, W b) float32 by direction.
        query_ids, item_ids: caption ids (Q,) and (W b,) int64; of mixes those of their first parts.
    """

    values: dict[Direction, Tensor]
    query_ids: Tensor
    item_ids: Tensor


def batch_relevance(
    relevance: Relevance, batch: Batch, directions: Iterable[Direction], *, all_queries: bool = False
) -> BatchRelevance:
    """Relevance of the items of all W ranks for this rank's b queries, or for those of all ranks."""
    mixes = batch.mixes
    if mixes is None:
        items = gather_ids(batch.caption_ids)
        queries = items if all_queries else batch.caption_ids
        return BatchRelevance(relevance.by_direction(queries, items, directions), queries, items)
    mixed_items = MixParts(gather_ids(mixes.ids), gather_ids(mixes.weights))
    mixed = mixed_items if all_queries else MixParts(mixes.ids, mixes.weights)
    values = relevance_of_mixes(relevance, mixed, mixed_items, directions, mixes.rule)
    return BatchRelevance(values, mixed.ids[:, 0], mixed_items.ids[:, 0])
