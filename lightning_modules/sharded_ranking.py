"""Ranking shared out over ranks: each ranks a share of the queries against all items, all end with the whole result.

The ranks hold the same pool, gathered before. A rank's counts are zero outside its share, so their sum over ranks is
what one process counts: bit for bit, since `relevance.ranks` makes products of one shape for every share.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from lightning_modules.gathering import is_alone
from relevance.metrics import RankingResult, retrieval_metrics
from relevance.ranks import Indices, count_ranks


def sharded_metrics(queries: Tensor, items: Tensor, relevant_query: Indices, relevant_item: Indices) -> RankingResult:
    """`relevance.metrics.retrieval_metrics`, with the queries shared out over the ranks of the process group.

    Args:
        queries: (Q, D) embeddings, the same on every rank, as all arguments.
        items: (N, D) embeddings.
        relevant_query: (P,) int64, each query at least once.
        relevant_item: (P,) int64, the item relevant to the query in the same place.

    Raises:
        RelevanceError: as `relevance.ranks.count_ranks`; on every rank, so that none waits for another.
    """
    if is_alone():
        return retrieval_metrics(queries, items, relevant_query, relevant_item)
    share = (dist.get_rank(), dist.get_world_size())
    counts = count_ranks(queries, items, relevant_query, relevant_item, share=share)
    # Scores are added by their bits: of floats -0.0 + 0.0 would be 0.0.
    for part in (counts.greater, counts.equal, counts.topk_items, counts.topk_scores.view(torch.int32)):
        dist.all_reduce(part)
    return RankingResult.of(counts)
