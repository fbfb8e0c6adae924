"""Relevance of a training batch: this rank's pairs, or mixes of pairs, against those of all ranks."""

from collections.abc import Iterable

from torch import Tensor

from common.directions import Direction
from datamodules.batch import Batch
from lightning_modules.distributed import gather_ids
from relevance.base import Relevance
from relevance.mixes import MixParts, relevance_of_mixes


def batch_relevance(
    relevance: Relevance, batch: Batch, directions: Iterable[Direction], *, all_queries: bool = False
) -> dict[Direction, Tensor]:
    """Relevance (b, W b) by direction of the items of all W ranks for this rank's b queries; (W b, W b) for all."""
    mixes = batch.mixes
    if mixes is None:
        item_ids = gather_ids(batch.caption_ids)
        return relevance.by_direction(item_ids if all_queries else batch.caption_ids, item_ids, directions)
    items = MixParts(gather_ids(mixes.ids), gather_ids(mixes.weights))
    queries = items if all_queries else MixParts(mixes.ids, mixes.weights)
    return relevance_of_mixes(relevance, queries, items, directions, mixes.rule)
