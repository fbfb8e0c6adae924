"""Captions changed by rule, so that any captioned corpus has twins: pure functions of a text, without a tagger.

They ask what a model uses of a caption. Where the change keeps the meaning ("nouns only"), a model that prefers the
whole caption uses more than content words; where it breaks the meaning ("negate"), one that does not is deaf to it. The
rules are for short English captions and are rough: "and" also joins nouns, so a swapped caption may be odd.

Sources: Wu et al. 2023, "Audio-text models do not yet leverage natural language" (shuffled words, nouns only, swapped
events); Oncescu et al. 2024 (before and after replaced).
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from types import MappingProxyType

import numpy as np

from common.errors import DataError
from common.numbers import check_numbers
from datamodules.twins.twin_set import CaptionVariants, Recording

CONNECTIVES = ("followed by", "preceded by", "before", "after", "then", "while", "and")
"""Words that join two events; a caption is split at the first of them in this order, so "and" comes last."""
_AGAIN = r"(?!\s+again\b)"
"""Not the "and" of "again and again"."""
_CONNECTIVE = {
    word: re.compile(rf"(,?\s+(?:and\s+(?:is\s+)?)?{word}{_AGAIN}\s+)", re.IGNORECASE) for word in CONNECTIVES
}
_LEADING = re.compile(r"(after|before|while)\s+([^,]+),\s+(.+)", re.IGNORECASE)
_OPPOSITE = {"before": "after", "after": "before", "followed": "preceded", "preceded": "followed"}
_REPLACED = re.compile(r"\b(before|after|followed(?= by)|preceded(?= by))\b", re.IGNORECASE)
_NEGATION = re.compile(r"\b(no|not|nothing|never|without|n't)\b", re.IGNORECASE)
_LISTED = (
    "a an the this that these those some any each several many few more most other another its it it's their his her "
    "they them he she him i we you who which what as at by for from in into of off on onto out over through to toward "
    "towards under up down upon with within without near around across along against between during behind beside "
    "above below is are was were be been being am has have had do does did can could will would may might must "
    "and or but nor so then before after while when whenever where until till since because if than followed preceded "
    "first finally lastly later again once twice there here not no nothing very quite too also only just both all "
    "same time heard"
)
FUNCTION_WORDS = frozenset(_LISTED.split())
"""Left out by `nouns_only`: articles, pronouns, prepositions, auxiliaries, connectives, and adverbs without -ly."""


def shuffle_words(caption: str, rng: np.random.Generator) -> str:
    """The words in another order; commas go, the stop at the end stays.

    >>> shuffle_words("A dog barks, then rain falls.", np.random.default_rng(1))
    'Rain a barks dog falls then.'
    """
    text, end = _ended(caption)
    words = [word.strip(",;") for word in _lowered(text).split()]
    words = [word for word in words if word]
    order = rng.permutation(len(words))
    moved = [words[place] for place in order]
    if moved == words:
        moved = [*words[1:], *words[:1]]
    return caption if moved == words else _raised(" ".join(moved)) + end


def swap_events(caption: str, rng: np.random.Generator) -> str:
    """What stands before and after the connective, exchanged; the connective stays.

    >>> swap_events("A dog barks, followed by rain.", np.random.default_rng(0))
    'Rain, followed by a dog barks.'
    >>> swap_events("After a bell rings, a dog barks.", np.random.default_rng(0))
    'After a dog barks, a bell rings.'
    """
    text, end = _ended(caption)
    if leading := _LEADING.fullmatch(text):
        return f"{leading[1]} {leading[3]}, {leading[2]}{end}"
    for word in CONNECTIVES:
        parts = _CONNECTIVE[word].split(text, maxsplit=1)
        if len(parts) == 3 and all(part.strip() for part in parts):
            return _raised(parts[2]) + parts[1] + _lowered(parts[0]) + end
    return caption


def replace_before_and_after(caption: str, rng: np.random.Generator) -> str:
    """Before for after and after for before; "followed by" for "preceded by" likewise.

    >>> replace_before_and_after("A dog barks before rain, followed by wind.", np.random.default_rng(0))
    'A dog barks after rain, preceded by wind.'
    """

    def opposite(found: re.Match[str]) -> str:
        word = _OPPOSITE[found[1].lower()]
        return word.capitalize() if found[1][0].isupper() else word

    return _REPLACED.sub(opposite, caption)


def drop_connectives(caption: str, rng: np.random.Generator) -> str:
    """Without the words that join events: their order is said by their place alone.

    >>> drop_connectives("A dog barks, and then rain falls.", np.random.default_rng(0))
    'A dog barks, rain falls.'
    """
    text, end = _ended(caption)
    joined = "|".join(CONNECTIVES)
    short = re.sub(rf"\b({joined})\b{_AGAIN}\s*", "", text, flags=re.IGNORECASE)
    short = re.sub(r"\s+,", ",", re.sub(r"\s+", " ", short)).strip(" ,")
    return _raised(short) + end if short and short != text else caption


def nouns_only(caption: str, rng: np.random.Generator) -> str:
    """Content words alone: without `FUNCTION_WORDS`, and without words in -ly, -ing and -ed.

    Without a tagger, verbs in the present ("barks") look like plural nouns, and stay; so do adjectives.

    >>> nouns_only("A small dog is barking loudly in the distance.", np.random.default_rng(0))
    'Small dog distance.'
    """
    text, end = _ended(caption)
    kept = [
        word
        for word in re.findall(r"[\w'-]+", _lowered(text))
        if word.lower() not in FUNCTION_WORDS and not (len(word) > 4 and word.lower().endswith(("ly", "ing", "ed")))
    ]
    short = " ".join(kept)
    return _raised(short) + end if kept and short != _lowered(text) else caption


def negate(caption: str, rng: np.random.Generator) -> str:
    """The first event denied: "not" after the first is or are, else "no" in place of the first article, or in front.

    A caption that denies something already stays as it is.

    >>> [negate(text, np.random.default_rng(0)) for text in ("A dog is barking.", "The rain falls.", "Rain falls.")]
    ['A dog is not barking.', 'No rain falls.', 'No rain falls.']
    """
    if _NEGATION.search(caption):
        return caption
    changed, count = re.subn(r"\b(is|are)\b", r"\1 not", caption, count=1)
    if count:
        return changed
    return "No " + re.sub(r"^(first\s+)?((an?|the)\s+)?", "", _lowered(caption), flags=re.IGNORECASE)


PERTURBATIONS: MappingProxyType[str, Callable[[str, np.random.Generator], str]] = MappingProxyType(
    {
        "shuffle words": shuffle_words,
        "swap events": swap_events,
        "replace before and after": replace_before_and_after,
        "drop connectives": drop_connectives,
        "nouns only": nouns_only,
        "negate": negate,
    }
)
"""By name. Each gives back the caption itself where it changes nothing."""


def perturbed(caption: str, name: str, seed: int = 0) -> str:
    """A caption after a perturbation; what it draws depends on `seed` and the caption alone."""
    digest = hashlib.sha256(caption.encode()).digest()
    return PERTURBATIONS[name](caption, np.random.default_rng([seed, int.from_bytes(digest[:8], "big")]))


def perturbed_captions(
    recordings: Sequence[Recording | str], captions: Sequence[str], caption_audio: Sequence[int], seed: int = 0
) -> CaptionVariants:
    """Captions (C,) of recordings in every form of `PERTURBATIONS`.

    Raises:
        DataError: the seed is negative.
    """
    check_numbers(DataError, "changed captions", 0, seed=seed)
    variants = {name: [perturbed(caption, name, seed) for caption in captions] for name in PERTURBATIONS}
    return CaptionVariants(recordings, captions, caption_audio, variants)


def _ended(caption: str) -> tuple[str, str]:
    """A caption without its stop, and the stop."""
    text = caption.strip()
    bare = text.rstrip(".!?")
    return bare.rstrip(), text[len(bare) :]


def _lowered(text: str) -> str:
    """With a small first letter, unless its first word is written in capitals."""
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    return text if len(first) > 1 and first.isupper() else text[:1].lower() + text[1:]


def _raised(text: str) -> str:
    return text[:1].upper() + text[1:]
