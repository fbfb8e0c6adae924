"""What an unknown word may stand for: its lemma, or a word that is written almost the same."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def tokens(caption: str) -> list[str]:
    """Words, numbers and signs of a caption, in order; a possessive or contracted ending is a word of its own.

    >>> tokens("A dog's bark, then (loud) rain-drops don't stop.")
    ['A', 'dog', "'s", 'bark', ',', 'then', '(', 'loud', ')', 'rain', '-', 'drops', 'do', "n't", 'stop', '.']
    """
    return re.findall(r"\w+?(?=n['’]t\b)|n['’]t\b|['’](?:s|m|d|re|ve|ll)\b|\w+|[^\w\s]", caption, flags=re.IGNORECASE)


def lemmas(word: str) -> list[str]:
    """What an English word may be a form of, by its ending, the likeliest first; to be looked up in a table.

    >>> lemmas("barking"), lemmas("flies"), lemmas("running"), lemmas("dog")
    (['bark', 'barke'], ['fly', 'flie'], ['run', 'runn', 'runne'], [])
    """
    found: list[str] = []
    for ending, replacements in (("ies", ("y", "ie")), ("es", ("", "e")), ("s", ("",)), ("ied", ("y",))):
        if word.endswith(ending) and not word.endswith("ss") and len(word) > len(ending) + 1:
            found += [word[: -len(ending)] + replacement for replacement in replacements]
            break
    for ending in ("ing", "ed", "er", "est"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2:
            doubled = stem[-1] == stem[-2]
            found += [*([stem[:-1]] if doubled else []), stem, stem + "e"]
    return found


def nearest(word: str, rows: Mapping[str, int], edits: int) -> str | None:
    """The earliest word of a table within 1 or 2 edits (a letter left out, added, changed, or two exchanged), nearer
    ones first.

    >>> nearest("barkng", {"dog": 0, "baking": 1, "barking": 2}, 2)
    'barking'
    """
    around: Iterable[str] = {word}
    for number in range(edits):
        # Words two edits away are too many to be kept; they are looked up as they are made.
        around = (near for each in around for near in _one_edit(each))
        around = set(around) if number < edits - 1 else around
        best = _earliest(around, rows)
        if best is not None:
            return best
    return None


def _earliest(words: Iterable[str], rows: Mapping[str, int]) -> str | None:
    known = {word for word in words if word in rows}
    return min(known, key=rows.__getitem__, default=None)


def _one_edit(word: str) -> Iterator[str]:
    for place in range(len(word) + 1):
        head, tail = word[:place], word[place:]
        if tail:
            yield head + tail[1:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
        for letter in LETTERS:
            yield head + letter + tail
            if tail:
                yield head + letter + tail[1:]


def known_form(word: str, rows: Mapping[str, int], lemmatise: bool, edits: int) -> str | None:
    """The word itself, else its lemma, else the nearest word, as a table has them; None: none of these."""
    if word in rows:
        return word
    if lemmatise and (found := _first(lemmas(word), rows)) is not None:
        return found
    return nearest(word, rows, edits) if edits and len(word) > edits + 1 and word.isalpha() else None


def _first(words: Iterable[str], rows: Container[str]) -> str | None:
    return next((word for word in words if word in rows), None)
