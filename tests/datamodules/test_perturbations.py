"""Captions changed by rule."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.twins.perturbations import PERTURBATIONS, perturbed, perturbed_captions

WORDS = ("a dog barks", "the rain falls softly", "two bells", "an engine is running", "birds")
captions = st.builds(
    lambda first, word, second, end: f"{first[0].upper()}{first[1:]} {word} {second}{end}",
    st.sampled_from(WORDS),
    st.sampled_from(("before", "after", "then", "and then", "followed by", "preceded by", "while", "and")),
    st.sampled_from(WORDS),
    st.sampled_from((".", "")),
)


def bag(text: str) -> Counter[str]:
    return Counter(text.lower().replace(".", "").replace(",", "").split())


@given(captions, st.integers(0, 2**32))
def test_a_perturbation_is_the_same_each_time_and_keeps_the_form(caption: str, seed: int) -> None:
    for name in PERTURBATIONS:
        changed = perturbed(caption, name, seed)
        assert changed == perturbed(caption, name, seed)
        assert changed.strip() == changed
        assert changed[:1].isupper()
        assert changed.endswith(".") == caption.endswith(".")


@given(captions, st.integers(0, 2**32))
def test_shuffled_and_swapped_captions_hold_the_same_words(caption: str, seed: int) -> None:
    for name in ("shuffle words", "swap events"):
        assert bag(perturbed(caption, name, seed)) == bag(caption)
    assert perturbed(caption, "shuffle words", seed).lower() != caption.lower()


@given(captions)
def test_swapping_or_replacing_twice_changes_nothing(caption: str) -> None:
    for name in ("swap events", "replace before and after"):
        assert perturbed(perturbed(caption, name), name) == caption


def test_another_seed_shuffles_otherwise() -> None:
    caption = "A dog barks while heavy rain falls on an old roof."
    assert len({perturbed(caption, "shuffle words", seed) for seed in range(5)}) > 1


@pytest.mark.parametrize(
    ("name", "caption", "changed"),
    [
        ("swap events", "A dog barks, and then it rains.", "It rains, and then a dog barks."),
        ("swap events", "A dog and a cat before rain and wind", "Rain and wind before a dog and a cat"),
        ("swap events", "A TV and DVD player", "DVD player and a TV"),
        ("swap events", "A bell is struck again and again.", "A bell is struck again and again."),
        ("swap events", "Then it rains.", "Then it rains."),
        ("replace before and after", "After rain, wind.", "Before rain, wind."),
        ("replace before and after", "Rain and then wind.", "Rain and then wind."),
        ("replace before and after", "Someone follows a dog afterwards.", "Someone follows a dog afterwards."),
        ("drop connectives", "A dog barks, followed by rain and wind.", "A dog barks, rain wind."),
        ("drop connectives", "After rain, wind blows.", "Rain, wind blows."),
        ("drop connectives", "Rain falls on sand.", "Rain falls on sand."),
        ("nouns only", "A man is quickly walking through the wet leaves.", "Man wet leaves."),
        ("nouns only", "It is walking.", "It is walking."),  # nothing would be left
        ("negate", "First a dog barks.", "No dog barks."),
        ("negate", "Dogs are barking and a cat is asleep", "Dogs are not barking and a cat is asleep"),
        ("negate", "A dog barks without a pause.", "A dog barks without a pause."),
        ("shuffle words", "Rain.", "Rain."),
    ],
)
def test_cases(name: str, caption: str, changed: str) -> None:
    assert perturbed(caption, name) == changed


def test_captions_that_stay_are_left_out_and_counted() -> None:
    variants = perturbed_captions(["a.wav", "b.wav"], ["Rain falls.", "Rain before wind."], [0, 1])
    sets = {twins.name: twins for twins in variants.twin_sets()}
    assert (sets["swap events"].left_out, len(sets["swap events"].twins)) == (1, 1)
    assert sets["swap events"].twins[0].audio == 1
    assert sets["negate"].left_out == 0
    assert "nouns only" not in {twins.name for twins in perturbed_captions(["a"], ["Rain"], [0]).twin_sets()}
