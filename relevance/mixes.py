"""Relevance between mixes: what two recordings, added up and described together, are relevant to."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from common.directions import Direction
from common.errors import RelevanceError
from relevance.base import Relevance

MixRule = Literal["max", "weighted"]
"""How the relevance of a mix follows from that of its parts."""


class MixParts(NamedTuple):
    """The two annotated pairs that each of B mixes is made of; one that is not mixed is its own second part.

    Attributes:
        ids: (B, 2) int64 caption ids.
        weights: (B, 2) float32, rows sum to 1; (1, 0) where nothing is mixed.
    """

    ids: Tensor
    weights: Tensor


def relevance_of_mixes(
    relevance: Relevance, queries: MixParts, items: MixParts, directions: Iterable[Direction], rule: MixRule
) -> dict[Direction, Tensor]:
    """Relevance (Q, N) by direction of N mixes for Q mixes, from that of their parts.

    "max" takes the most relevant pair of parts: who hears a dog and rain hears a dog. "weighted" takes the mean over
    the four pairs of parts, each weighted by the product of its weights; a mix with itself has the maximum, since the
    joined caption describes it as a whole.

    Args:
        relevance: of annotated pairs; it is asked for 2 Q x 2 N of them.
        queries, items: the mixes; of the items those of all devices.
        directions: wanted.
        rule: see above.

    Raises:
        RelevanceError: another rule.

    Source: mixup of pairs as in Hao et al. 2023, "MixGen: a new multi-modal data augmentation", which joins captions
    and keeps one-hot targets; the two rules for graded relevance are ours.
    """
    if rule not in get_args(MixRule):
        raise RelevanceError(f"the rule for mixes is '{rule}': give one of {', '.join(get_args(MixRule))}")
    of_parts = relevance.by_direction(queries.ids.flatten(), items.ids.flatten(), directions)  # (2 Q, 2 N) each
    same = (queries.ids[:, None] == items.ids[None]).all(2)  # (Q, N)
    found: dict[Direction, Tensor] = {}
    for direction, values in of_parts.items():
        pairs = values.view(len(queries.ids), 2, len(items.ids), 2)
        highest = pairs.amax((1, 3))  # (Q, N)
        if rule == "weighted":
            mean = torch.einsum("qanb,qa,nb->qn", pairs, queries.weights, items.weights)
            highest = torch.where(same, highest, mean)
        found[direction] = highest
    return found
