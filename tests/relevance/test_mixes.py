"""Relevance between mixes against a loop over their parts."""

import pytest
import torch

from common.directions import DIRECTIONS
from common.errors import RelevanceError
from relevance.mixes import MixParts, relevance_of_mixes
from tests.support.seams import DirectedRelevance

QUERIES = MixParts(torch.tensor([[0, 3], [2, 2], [5, 1]]), torch.tensor([[0.7, 0.3], [1.0, 0.0], [0.5, 0.5]]))
ITEMS = MixParts(
    torch.tensor([[2, 2], [5, 1], [4, 0], [0, 3]]),
    torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.2, 0.8], [0.7, 0.3]]),
)


def directed() -> DirectedRelevance:
    relevance = DirectedRelevance()
    relevance.prepare(list("abcdef"), None)
    return relevance


@pytest.mark.parametrize("rule", ["max", "weighted"])
def test_relevance_of_mixes_against_a_loop(rule: str) -> None:
    relevance = directed()
    found = relevance_of_mixes(relevance, QUERIES, ITEMS, DIRECTIONS, rule)  # type: ignore[arg-type]
    for direction in DIRECTIONS:
        for q, (ids, weights) in enumerate(zip(QUERIES.ids, QUERIES.weights, strict=True)):
            for n, (others, shares) in enumerate(zip(ITEMS.ids, ITEMS.weights, strict=True)):
                pairs = relevance(ids, others, direction)
                expected = float(pairs.max())
                if rule == "weighted" and not torch.equal(ids, others):
                    expected = sum(float(weights[a] * shares[b] * pairs[a, b]) for a in range(2) for b in range(2))
                assert float(found[direction][q, n]) == pytest.approx(expected, abs=1e-6)


def test_what_is_not_mixed_keeps_its_relevance() -> None:
    relevance, ids = directed(), torch.tensor([4, 0, 2])
    alone = MixParts(ids[:, None].expand(-1, 2), torch.tensor([[1.0, 0.0]]).expand(3, -1))
    for rule in ("max", "weighted"):
        found = relevance_of_mixes(relevance, alone, alone, DIRECTIONS, rule)  # type: ignore[arg-type]
        for direction in DIRECTIONS:
            assert torch.equal(found[direction], relevance(ids, ids, direction))


def test_another_rule() -> None:
    with pytest.raises(RelevanceError, match=r"^the rule for mixes is 'mean': give one of max, weighted"):
        relevance_of_mixes(directed(), QUERIES, ITEMS, DIRECTIONS, "mean")  # type: ignore[arg-type]
