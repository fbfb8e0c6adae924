"""Captions with words left out, or exchanged for others that mean the same."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from common.errors import DataError
from common.numbers import check_numbers
from datamodules.augmentations.base import Augmentation, Side, Source
from datamodules.batch import Example
from datamodules.csv_files import read_csv

COLUMNS = ("word", "synonym")


class WordDropout(Augmentation):
    """Leaves out words of a caption, at least one stays; relevance remains that of the whole caption.

    Args:
        words: how likely each word is left out.
        share: of the examples.

    Raises:
        DataError: a number is out of range.

    Source: word deletion of Wei and Zou 2019, "EDA: easy data augmentation techniques for boosting performance on text
    classification tasks"; for audio retrieval Primus and Widmer 2022, DCASE challenge.
    """

    sides: ClassVar[frozenset[Side]] = frozenset({"text"})

    def __init__(self, words: float = 0.1, share: float = 1.0) -> None:
        super().__init__(share)
        check_numbers(DataError, self.title, 0, 1, words=words)
        self.words = words

    def __call__(self, example: Example, rng: np.random.Generator, source: Source) -> Example:
        """With fewer words."""
        words = example.captions[0].split()
        draws = rng.random(len(words))
        kept = [word for word, draw in zip(words, draws, strict=True) if draw >= self.words]
        kept = kept or [words[int(draws.argmax())]]
        return replace(example, captions=[" ".join(kept)])


class Synonyms(Augmentation):
    """Exchanges words of a caption for synonyms out of a file; relevance remains that of the caption.

    Args:
        file: csv with the columns `word` and `synonym`, a row for each synonym of a word; words are compared in lower
            case, without the signs around them.
        words: how likely a word that has synonyms is exchanged.
        share: of the examples.

    Raises:
        DataError: a number is out of range; or (in `prepare`) the file cannot be used.

    Source: synonym replacement of Wei and Zou 2019, as `WordDropout`.
    """

    sides: ClassVar[frozenset[Side]] = frozenset({"text"})

    def __init__(self, file: str, words: float = 0.2, share: float = 1.0) -> None:
        super().__init__(share)
        check_numbers(DataError, self.title, 0, 1, words=words)
        self.file, self.words = Path(file).expanduser(), words
        self.synonyms: dict[str, list[str]] = {}

    def prepare(self, names: Sequence[str]) -> None:
        """Read the file."""
        self.synonyms = read_synonyms(self.file)

    def __call__(self, example: Example, rng: np.random.Generator, source: Source) -> Example:
        """With other words."""
        words = example.captions[0].split()
        draws = rng.random((len(words), 2))
        changed = [
            exchanged(word, self.synonyms, choice) if draw < self.words else word
            for word, (draw, choice) in zip(words, draws.tolist(), strict=True)
        ]
        return replace(example, captions=[" ".join(changed)])


def read_synonyms(path: Path) -> dict[str, list[str]]:
    """Synonyms by word in lower case.

    Raises:
        DataError: as `read_csv`; a cell is empty, or there are no rows.
    """
    rows = read_csv(path, COLUMNS, "utf-8-sig", "give a csv with the columns word and synonym")
    found: dict[str, list[str]] = {}
    for line, row in rows:
        word, synonym = (row[column].strip() for column in COLUMNS)
        if not word or not synonym:
            raise DataError(f"{path}, line {line}: a word or its synonym is empty; fill it in, or delete the row")
        found.setdefault(word.lower(), []).append(synonym)
    if not found:
        raise DataError(f"{path}: holds no synonyms; give a row for each, under the header word,synonym")
    return found


def exchanged(word: str, synonyms: Mapping[str, Sequence[str]], choice: float) -> str:
    """A synonym of a word, the one at `choice` (0 to 1) of its list, with the signs around it and a first capital.

    >>> exchanged("Dog,", {"dog": ["hound", "puppy"]}, 0.7), exchanged("cat", {"dog": ["hound"]}, 0.0)
    ('Puppy,', 'cat')
    """
    match = re.fullmatch(r"(\W*)(.*?)(\W*)", word)
    assert match is not None
    before, bare, after = match.groups()
    known = synonyms.get(bare.lower())
    if not known:
        return word
    chosen = known[int(choice * len(known))]
    return before + (chosen[:1].upper() + chosen[1:] if bare[:1].isupper() else chosen) + after
