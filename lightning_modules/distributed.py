"""Tensors from all ranks, with gradients: what a contrastive loss over several devices needs.

Rank r of W scores its own b queries against the items of all ranks, in rank order:

    rank 0: queries 0 .. b-1        |  items 0 .. Wb-1  (its own among them, with gradient)
    rank 1: queries b .. 2b-1       |  the same items

The mean over ranks of the local losses is the loss of one process with the whole batch. An item's gradient is the sum
over ranks of what their losses say of it; DDP then averages parameter gradients, which makes them those of the whole.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from common.errors import RelevanceError
from evaluation.ranking import RankingResult, retrieval_metrics
from evaluation.ranks import Indices, count_ranks
from evaluation.scores import Scores


class _GatherWithGradient(torch.autograd.Function):
    """All ranks' tensors in rank order; backward sums the ranks' gradients and hands each rank its own part."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.rows = len(tensor)
        return _all_gather(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # A copy: the gradient may be another node's too, and all_reduce writes into its argument.
        gradient = gradients[0].clone(memory_format=torch.contiguous_format)  # (W b, ...)
        dist.all_reduce(gradient)
        start = dist.get_rank() * ctx.rows
        return gradient[start : start + ctx.rows]


def gather_with_gradient(tensor: Tensor) -> Tensor:
    """(b, ...) of each rank to (W b, ...), every rank with equal b; the tensor itself where there is one process."""
    if is_alone():
        return tensor
    gathered: Tensor = _GatherWithGradient.apply(tensor)
    return gathered


def gather_ids(ids: Tensor) -> Tensor:
    """Like `gather_with_gradient` for int64 ids (b,) -> (W b,), which have none."""
    return ids if is_alone() else _all_gather(ids)


def is_alone() -> bool:
    """Whether there is no other process in the group, or no group."""
    return not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1


def _all_gather(tensor: Tensor) -> Tensor:
    tensor = tensor.contiguous()
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, tensor)
    return torch.cat(parts)


def sharded_metrics(scores: Scores, relevant_query: Indices, relevant_item: Indices) -> RankingResult:
    """`evaluation.ranking.retrieval_metrics`, with the queries shared by the ranks of the process group.

    Args:
        scores: of Q queries and N items, the same on every rank, as all arguments.
        relevant_query: (P,) int64, each query at least once.
        relevant_item: (P,) int64, the item relevant to the query in the same place.

    Raises:
        RelevanceError: as `evaluation.ranks.count_ranks`; on every rank, so that none waits for another.
    """
    if is_alone():
        return retrieval_metrics(scores, relevant_query, relevant_item)
    share = (dist.get_rank(), dist.get_world_size())
    failure: RelevanceError | None = None
    try:
        counts = count_ranks(scores, relevant_query, relevant_item, share=share)
    except RelevanceError as error:
        failure = error
    failures = torch.tensor(float(failure is not None), device=scores.device)
    dist.all_reduce(failures)
    if failures:
        raise failure or RelevanceError("another rank could not rank its share of the queries; its message says why")
    # Scores are added by their bits: of floats -0.0 + 0.0 would be 0.0.
    for part in (counts.greater, counts.equal, counts.topk_items, counts.topk_scores.view(torch.int32)):
        dist.all_reduce(part)
    return RankingResult.of(counts)
