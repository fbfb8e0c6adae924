"""What a query says, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.analyses.query_text import (
    CONNECTIVES,
    FORMS,
    connectives_of,
    content_words,
    events_said,
    form_of,
    has_finite_verb,
    is_negated,
    words_of,
)
from evaluation.analyses.sound_words import FUNCTION_WORDS, VERB_FORMS, forms_of


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("dog", "keywords"),
        ("dog barking, heavy rain; thunder", "keywords"),
        ("distant thunder", "keywords"),
        ("rain on a roof", "phrase"),
        ("a dog barking", "phrase"),
        ("several loud barks of a dog", "phrase"),
        ("very loud engine noise outside", "phrase"),  # four words between commas
        ("A dog barks.", "sentence"),
        ("Birds chirp nearby", "sentence"),
        ("Children laugh and a bell rings", "sentence"),
        ("Water is running", "sentence"),
        ("What is making this noise", "question"),
        ("Does a dog bark", "question"),
        ("a dog?", "question"),
        ("When a dog barks a cat meows", "sentence"),
        ("", "keywords"),
    ],
)
def test_the_form(text: str, form: str) -> None:
    assert form_of(text) == form


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("A dog barks.", 1),
        ("A dog barks, then a bell rings.", 2),
        ("After the barking of a dog, a bell rings while rain falls", 3),
        ("a fire pops and crackles", 1),
        ("Sizzling and a woman speaking", 2),
        ("a train", 1),
        ("rain, thunder, wind and a siren", 4),
        ("An engine drones with thunder in the background", 2),
        ("A bell tolls, followed by the hum of an engine and a person running.", 3),
        ("", 1),
    ],
)
def test_the_number_of_events(text: str, events: int) -> None:
    assert events_said(text) == events


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A bell, followed by rain and thunder", ["followed by", "and"]),
        ("Before dawn, after rain", ["before", "after"]),
        ("meanwhile sand falls in Athens", []),  # parts of words
        ("while it rains, then", ["while", "then"]),
    ],
)
def test_connectives(text: str, found: list[str]) -> None:
    assert connectives_of(text) == found
    assert {*found} <= {*CONNECTIVES}


@pytest.mark.parametrize("text", ["No dog", "a dog, not a cat", "it doesn't stop", "It isn’t loud", "without pause"])
def test_negation(text: str) -> None:
    assert is_negated(text)


@pytest.mark.parametrize("text", ["a note", "another knot", "noises", "want", "nothingness"])
def test_no_negation(text: str) -> None:
    assert not is_negated(text)


def test_words() -> None:
    assert words_of("A dog's bark — re-recorded, 2x; Café!") == ["a", "dog's", "bark", "re-recorded", "2x", "café"]
    assert content_words("The dog is near the sea") == ["dog", "sea"]


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("bark", {"barks": "third", "barked": "past", "barking": "participle"}),
        ("tap", {"taps": "third", "tapped": "past", "tapping": "participle"}),
        ("hiss", {"hisses": "third", "hissing": "participle"}),
        ("cry", {"cries": "third", "cried": "past", "crying": "participle"}),
        ("play", {"plays": "third", "played": "past", "playing": "participle"}),
        ("buzz", {"buzzes": "third", "buzzing": "participle"}),
        ("drive", {"drives": "third", "driving": "participle"}),
    ],
)
def test_the_forms_of_a_verb(verb: str, expected: dict[str, str]) -> None:
    forms = forms_of(verb)
    assert forms[verb] == "base"
    assert expected.items() <= forms.items()
    assert forms.items() <= VERB_FORMS.items() or verb == "hiss"


def test_no_word_is_both_a_function_word_and_a_verb_of_a_sound() -> None:
    assert {word for word in VERB_FORMS if word in FUNCTION_WORDS} == set()


@given(st.text(max_size=60))
def test_any_text_has_a_form_and_events(text: str) -> None:
    assert form_of(text) in FORMS
    assert events_said(text) >= 1
    assert has_finite_verb(words_of(text)) in (True, False)
