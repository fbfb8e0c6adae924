"""Groups of queries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RelevanceError
from evaluation.analyses.query_groups import by_count, by_length, by_rarity, group_queries, rarest_counts

QUERIES = [
    "dog, rain",
    "A dog barks and then a bell rings without a pause.",
    "Is that a dog barking while rain falls on a roof in the distance over the sound of a siren?",
    "the yodel of a dog",
]


def groups(queries: list[str], **options: object) -> dict[str, dict[str, list[int]]]:
    found = group_queries(queries, **options)  # type: ignore[arg-type]
    return {
        each.property: {name: np.flatnonzero(rows).tolist() for name, rows in each.groups.items()} for each in found
    }


def test_every_property_by_hand() -> None:
    found = groups(QUERIES, reference=["a dog barks", "a dog", "rain"], events=np.array([1, 2, 3, 5]))
    assert found == {
        "words": {"1-4": [0], "5-8": [3], "9-12": [1], "17 or more": [2]},
        "form": {"keywords": [0], "phrase": [3], "sentence": [1], "question": [2]},
        "events said": {"1": [0, 3], "2": [1], "3": [2]},
        "events known": {"1": [0], "2": [1], "3": [2], "4 or more": [3]},
        "connective": {"while": [2], "then": [1], "and": [1], "none": [0, 3]},
        "negation": {"no": [0, 2, 3], "yes": [1]},
        "rarest word": {"never": [1, 2, 3], "in 1": [0]},
    }
    assert "events known" not in groups(QUERIES)


def test_without_a_reference_words_are_counted_in_the_queries() -> None:
    assert groups(["a dog", "a dog", "the cat"]) == {"rarest word": {"in 1": [2], "in 2": [0, 1]}}


def test_the_rarest_word_counts_texts_and_not_repeats() -> None:
    assert rarest_counts(["dog", "the", "dog cat"], ["dog dog", "a dog", "cat"]).tolist() == [2, 3, 1]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_each_query_is_in_one_group_and_equal_counts_stay_together(counts: list[int]) -> None:
    given_counts = np.array(counts)
    for found in (by_rarity(given_counts), by_count(given_counts)):
        assert np.sum(list(found.values()), axis=0).tolist() == [1] * len(counts)
    place = {
        value: {name for name, rows in by_rarity(given_counts).items() if rows[given_counts == value].any()}
        for value in counts
    }
    assert all(len(names) == 1 for names in place.values())
    assert len(by_rarity(given_counts)) <= 5


def test_lengths_at_the_edges() -> None:
    texts = [" ".join(["word"] * n) for n in (1, 4, 5, 8, 9, 12, 13, 16, 17, 40)]
    found = {name: np.flatnonzero(rows).tolist() for name, rows in by_length(texts).items()}
    assert found == {"1-4": [0, 1], "5-8": [2, 3], "9-12": [4, 5], "13-16": [6, 7], "17 or more": [8, 9]}


@pytest.mark.parametrize(("queries", "events"), [([], None), (["a"], np.array([1, 2]))])
def test_what_does_not_fit_is_refused(queries: list[str], events: np.ndarray | None) -> None:
    with pytest.raises(RelevanceError, match="give as many"):
        group_queries(queries, events=events)
