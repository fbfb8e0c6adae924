"""Near duplicates in blocks, against a loop over all pairs."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from common.errors import RelevanceError
from evaluation.near_duplicates import near_duplicates


def unit(count: int, seed: int = 0) -> Any:
    vectors = np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_loop(first: Any, second: Any, threshold: float, within: bool) -> dict[tuple[int, int], float]:
    pairs = {}
    for i, j in product(range(len(first)), range(len(second))):
        cosine = sum(float(a) * float(b) for a, b in zip(first[i], second[j], strict=True))
        if cosine >= threshold and (not within or i < j):
            pairs[i, j] = cosine
    return pairs


@pytest.mark.parametrize("block_elements", [1, 16, 2**20])
@pytest.mark.parametrize("within", [False, True])
def test_blocks_find_what_a_loop_finds(block_elements: int, within: bool) -> None:
    first, second = unit(13), unit(13 if within else 9, seed=0 if within else 1)
    expected = by_loop(first, second, 0.7, within)
    other = None if within else second
    found = near_duplicates(first, other, threshold=0.7, block_elements=block_elements)
    assert found.found == len(expected) == len(found.pairs) > 3
    assert {tuple(pair) for pair in found.pairs.tolist()} == expected.keys()
    for pair, cosine in zip(found.pairs.tolist(), found.cosine.tolist(), strict=True):
        assert cosine == pytest.approx(expected[tuple(pair)], abs=1e-5)
    assert (np.diff(found.cosine) <= 0).all()
    concerned = {i for pair in expected for i in (pair if within else pair[1:])}
    assert found.concerned == len(concerned)
    scores = by_loop(first, second, -2, False)
    for j in range(len(second)):
        nearest = max(scores[i, j] for i in range(len(first)) if not (within and i == j))
        assert found.nearest[j] == pytest.approx(nearest, abs=1e-5)


def test_only_the_most_similar_are_kept_and_all_are_counted() -> None:
    whole = near_duplicates(unit(30), threshold=0.5)
    few = near_duplicates(unit(30), threshold=0.5, most=4, block_elements=36)
    assert few.found == whole.found > 4
    assert few.concerned == whole.concerned
    np.testing.assert_array_equal(few.pairs, whole.pairs[:4])


def test_equal_recordings_are_at_one() -> None:
    vectors = np.repeat(unit(4), 2, axis=0)
    found = near_duplicates(vectors, threshold=0.9999)
    assert sorted(found.pairs.tolist()) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert found.cosine.max() <= 1


@pytest.mark.parametrize(
    ("first", "second", "threshold", "message"),
    [
        (unit(3), None, 1.5, "the threshold is 1.5: give a cosine similarity"),
        (unit(3)[:0], None, 0.9, "give .count, D. of at least one recording"),
        (unit(3), 2 * unit(3), 0.9, "vector 0 has length 2: give unit vectors"),
        (unit(3), unit(3)[:, :2] / np.linalg.norm(unit(3)[:, :2], axis=1, keepdims=True), 0.9, "3 and 2 dimensions"),
    ],
)
def test_what_cannot_be_compared_is_refused(first: Any, second: Any, threshold: float, message: str) -> None:
    with pytest.raises(RelevanceError, match=message):
        near_duplicates(first, second, threshold=threshold)


def test_nan_is_no_unit_vector() -> None:
    vectors = unit(3)
    vectors[1] = np.nan
    with pytest.raises(RelevanceError, match="vector 1 has length nan"):
        near_duplicates(vectors)
