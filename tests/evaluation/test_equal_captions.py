"""Equal captions of a pool: what any ranking can reach, against a search through all rankings."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RelevanceError
from evaluation.equal_captions import equal_captions, plain_words


def best_recall(captions: list[str], clips: list[int], k: int) -> float:
    """The best R@k over all rankings, one for each text."""
    total = 0
    for text in set(captions):
        owners = [clip for caption, clip in zip(captions, clips, strict=True) if caption == text]
        total += max(sum(clip in order[:k] for clip in owners) for order in permutations(range(4)))
    return total / len(captions)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=12))
def test_what_can_be_reached_is_the_best_of_all_rankings(pairs: list[tuple[str, int]]) -> None:
    captions, clips = [text for text, _ in pairs], [clip for _, clip in pairs]
    found = equal_captions(captions, np.array(clips), ks=(1, 2))
    for k in (1, 2):
        assert found.best_recall[k] == pytest.approx(best_recall(captions, clips, k))
    owners = {text: {clip for other, clip in pairs if other == text} for text in captions}
    assert found.shared == sum(len(owners[text]) > 1 for text in captions)
    assert found.texts == sum(len(clips) > 1 for clips in owners.values())


def test_a_caption_twice_of_one_recording_is_not_shared() -> None:
    found = equal_captions(["Rain.", "Rain.", "A dog."], np.array([0, 0, 1]))
    assert (found.shared, found.alike, found.best_recall[1]) == (0, 0, 1.0)


def test_case_and_punctuation_are_counted_apart() -> None:
    found = equal_captions(["A dog barks.", "a dog, barks", "Rain"], np.array([0, 1, 2]))
    assert (found.shared, found.alike, found.best_recall[1]) == (0, 2, 1.0)
    assert plain_words("Don't — stop_it") == "don't stop it"


def test_nothing_and_unequal_lengths_are_refused() -> None:
    for captions, clips in (([], []), (["a"], [0, 1])):
        with pytest.raises(RelevanceError, match="give one row for each"):
            equal_captions(captions, np.array(clips))
