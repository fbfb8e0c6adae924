"""Normalisation of scores at inference against hubs: items that score high for queries of every kind.

Each is a pure function of scores first. Sums over queries are taken in blocks, in float64, and kept as logarithms.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from common.errors import RelevanceError
from evaluation.ranks import best_items, score_blocks
from evaluation.row_scores import RowScores
from evaluation.scores import Scores


class NormalisedScores(RowScores):
    """Scores of one direction after a function of whole rows (Q, N) -> (Q, N)."""

    def __init__(self, scores: Scores, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__([scores])
        self.function = function

    def rows(self, parts: list[Tensor]) -> Tensor:
        """The function's."""
        return self.function(parts[0])

    def transposed(self) -> Scores:
        """Refused: what was summed over queries is of one direction."""
        raise RelevanceError("normalised scores are of one direction: normalise the transposed scores instead")


def column_log_sums(scores: Scores, scale: float, of_rows: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """log sum_q exp(scale * s_qj) of each item, (N,) float64, in blocks of queries.

    Args:
        scores: (Q, N).
        scale: of the scores.
        of_rows: from scaled scores (q, N) float64 to what is added to each row first, (q, 1).
    """
    sums = torch.full((scores.items,), -torch.inf, dtype=torch.float64, device=scores.device)
    for _, block in score_blocks(scores, block_elements=2**24):
        scaled = block[:, : scores.items].double() * scale
        if of_rows is not None:
            scaled += of_rows(scaled)
        sums = torch.logaddexp(sums, scaled.logsumexp(0))
    return sums


def qb_norm(scores: Scores, bank: Scores, beta: float = 20.0, k: int = 1) -> NormalisedScores:
    """Querybank normalisation by the dynamic inverted softmax, in units of the scores.

    With b the queries of the bank, s'_qj = s_qj - (1 / beta) log sum_b exp(beta s_bj), which orders items like
    exp(beta s_qj) / sum_b exp(beta s_bj); only for queries whose best item is among the k best items of any query
    of the bank. All others keep their scores.

    Args:
        scores: (Q, N).
        bank: (B, N), scores of other queries for the same items; none of the evaluated queries is read.
        beta: the inverse temperature. Near 0 nothing changes; the larger, the more only the nearest query of the bank
            counts.
        k: how many items of each query of the bank count as hubs.

    Raises:
        RelevanceError: another number of items, or beta or k out of range.

    Source: Bogolin et al. 2022, "Cross modal retrieval with querybank normalisation".
    """
    if scores.items != bank.items:
        raise RelevanceError(f"the bank has scores of {bank.items} items, the queries of {scores.items}: give the same")
    check_positive("beta", beta)
    if k < 1:
        raise RelevanceError(f"k of QB-Norm is {k}: give at least 1")
    hubs = torch.zeros(scores.items, dtype=torch.bool, device=scores.device)
    hubs[best_items(bank, k)[0].flatten()] = True
    offsets = (column_log_sums(bank, beta) / beta).float()  # (N,)

    def rows(block: Tensor) -> Tensor:
        best = block == block.amax(1, keepdim=True)
        active = (best & hubs).any(1, keepdim=True)  # (q, 1)
        return torch.where(active, block - offsets, block)

    return NormalisedScores(scores, rows)


def dual_softmax(scores: Scores, temperature: float = 0.05) -> NormalisedScores:
    """s_qj times the softmax over all queries of s_qj / temperature. It reads every query: transductive.

    Args:
        scores: (Q, N).
        temperature: near 0 only an item's best query keeps a score above 0; very large, the order stays as it is.

    Raises:
        RelevanceError: a temperature that is not positive.

    Source: Cheng et al. 2021, "Improving video-text retrieval by multi-stream corpus alignment and dual softmax loss".
    """
    check_positive("temperature", temperature)
    sums = column_log_sums(scores, 1 / temperature)

    def rows(block: Tensor) -> Tensor:
        return (block.double() * (block.double() / temperature - sums).exp()).float()

    return NormalisedScores(scores, rows)


def sinkhorn(scores: Scores, temperature: float = 0.05, iterations: int = 10) -> NormalisedScores:
    """Scores after alternate normalisation of exp(s / temperature), as T log P. It reads every query: transductive.

    Each iteration first makes the rows of P sum to 1, then the columns to Q / N, as if every item were right equally
    often; the rows come last once more.

    Args:
        scores: (Q, N).
        temperature: the smaller, the more P is an assignment of queries to items.
        iterations: passes over the scores.

    Raises:
        RelevanceError: a temperature that is not positive, or no iteration.

    Source: Cuturi 2013, "Sinkhorn distances: lightspeed computation of optimal transport".
    """
    check_positive("temperature", temperature)
    if iterations < 1:
        raise RelevanceError(f"iterations of Sinkhorn are {iterations}: give at least 1")
    share = torch.tensor(scores.queries / scores.items, dtype=torch.float64, device=scores.device).log()
    columns = torch.zeros(scores.items, dtype=torch.float64, device=scores.device)  # log factors (N,)

    def of_rows(scaled: Tensor) -> Tensor:
        return -(scaled + columns).logsumexp(1, keepdim=True)

    for _ in range(iterations):
        columns = share - column_log_sums(scores, 1 / temperature, of_rows)

    def rows(block: Tensor) -> Tensor:
        scaled = block.double() / temperature
        return ((scaled + columns + of_rows(scaled)) * temperature).float()

    return NormalisedScores(scores, rows)


def check_positive(name: str, value: float) -> None:
    """Whether a setting is a positive number.

    Raises:
        RelevanceError: it is not.
    """
    if not 0 < value < float("inf"):
        raise RelevanceError(f"{name} is {value}: give a positive number")
