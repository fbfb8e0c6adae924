"""What a query says, by rules on its words: its form, how many events it describes, connectives, negation.

The rules are simple so that anyone can apply them by hand. They are about English, and about captions and search
queries of one sentence.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal, get_args

from evaluation.analyses.sound_words import AUXILIARIES, DETERMINERS, FUNCTION_WORDS, PLURALS, SOURCES, VERB_FORMS

QueryForm = Literal["keywords", "phrase", "sentence", "question"]
FORMS: Final[tuple[QueryForm, ...]] = get_args(QueryForm)

CONNECTIVES: Final = ("before", "after", "while", "then", "followed by", "and")
"""Words that join two events; "none" stands for a query without any of them."""

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_PIECES = re.compile(
    r"[,;:.!?]|\b(?:and|then|while|whilst|as|when|before|after|until|followed|with|over|during|plus)\b"
)
_ITEMS = re.compile(r"[,;/|]")
_NEGATION = re.compile(r"\b(?:no|not|never|without|nobody|nothing|none|neither|nor|cannot|\w+n['’]t)\b")
_ASKING = frozenset(("what", "which", "who", "whose", "how", "why"))
_ASKING_VERBS = AUXILIARIES - {"am", "may", "might", "must"}
_KEYWORDS_EACH = 3


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation.

    >>> words_of("A dog's bark, re-recorded.")
    ['a', "dog's", 'bark', 're-recorded']
    """
    return _WORD.findall(text.lower())


def content_words(text: str) -> list[str]:
    """The words of a text that are no function words."""
    return [word for word in words_of(text) if word not in FUNCTION_WORDS]


def form_of(text: str) -> QueryForm:
    """The form of a query.

    A *question* ends in "?", or begins with what, which, who, whose, how, why or an auxiliary. A *sentence* has a
    finite verb (`has_finite_verb`). *Keywords* have neither a finite verb nor any function word, and at most three
    words between commas. All others are a *phrase*.

    >>> [form_of(text) for text in ("dog, rain", "the barking of a dog", "A dog barks.", "What is barking")]
    ['keywords', 'phrase', 'sentence', 'question']
    """
    words = words_of(text)
    if text.rstrip().endswith("?") or (words[:1] and words[0] in _ASKING | _ASKING_VERBS):
        return "question"
    if has_finite_verb(words):
        return "sentence"
    items = [words_of(item) for item in _ITEMS.split(text)]
    short = all(len(item) <= _KEYWORDS_EACH for item in items)
    return "keywords" if short and not FUNCTION_WORDS.intersection(words) else "phrase"


def has_finite_verb(words: Sequence[str]) -> bool:
    """Whether a finite verb is among the words, in lower case.

    Either an auxiliary; or a verb of a sound in -s that follows a word other than a determiner, a preposition or a
    frequent adjective, and that does not stand before "of"; or its base form after a plural.

    >>> [has_finite_verb(words) for words in (["a", "dog", "barks"], ["several", "barks"], ["birds", "sing"])]
    [True, False, True]
    """
    if AUXILIARIES.intersection(words):
        return True
    for before, word, after in zip(words, words[1:], [*words[2:], ""], strict=False):
        form = VERB_FORMS.get(word)
        if form == "third" and before not in DETERMINERS and after != "of":
            return True
        if form == "base" and (before in PLURALS or _plural(before)):
            return True
    return False


def events_said(text: str) -> int:
    """How many events a query describes: its sound-describing clauses, at least 1.

    The text is cut at punctuation and at and, then, while, as, when, before, after, until, followed, with, over,
    during, plus. A piece counts if it names a source that sounds by itself ("thunder"), or has two words or more and
    one of them is a form of a verb of a sound ("the barking of a dog"); the first piece may be one such word alone. So
    "a fire pops and crackles" is one event, and so is "birds and dogs", in which no noun has a verb.

    >>> events_said("A person is walking, followed by the drone of a motor and a person whistling a tune.")
    3
    >>> events_said("a fire pops and crackles"), events_said("a train")
    (1, 1)
    """
    pieces = [words_of(piece) for piece in _PIECES.split(text.lower())]
    sounding = [
        piece
        for place, piece in enumerate(pieces)
        if SOURCES.intersection(piece) or ((len(piece) > 1 or not place) and any(word in VERB_FORMS for word in piece))
    ]
    return max(1, len(sounding))


def connectives_of(text: str) -> list[str]:
    """Which of `CONNECTIVES` are in a text.

    >>> connectives_of("First a bell, and then footsteps")
    ['then', 'and']
    """
    joined = f" {' '.join(words_of(text))} "
    return [word for word in CONNECTIVES if f" {word} " in joined]


def is_negated(text: str) -> bool:
    """Whether a text holds a word of negation: no, not, never, without, nothing, ... or a form in n't.

    >>> is_negated("a dog without a bark"), is_negated("It isn't raining"), is_negated("a note")
    (True, True, False)
    """
    return _NEGATION.search(text.lower()) is not None


def _plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith(("ss", "'s", "’s")) and VERB_FORMS.get(word) != "third"
