"""What counts as relevant: the interface that everything in this room gives or takes.

A pair (recording, caption) is known by its caption's id alone, since a caption describes one recording. A relevance
therefore maps caption ids to graded values, and only ids have to travel between devices. It may depend on the
direction: how well caption i describes recording j is not how well caption j describes recording i.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from common.directions import Direction

IGNORED = -1.0
"""In place of a relevance: whether this pair is relevant is not known, so nothing is to be learned from it."""


class Relevance(nn.Module):
    """Graded relevance between annotated pairs, looked up by caption id.

    Life of an object: built from a config; `encode` once, by one process (slow work that leaves a cache behind);
    `prepare` in every process (quick); then called with ids as often as needed. It has no trainable parameters.

    Attributes:
        citation: where the relevance comes from; `bibtex` is the same as an entry of BibTeX.
        symmetric: whether the direction makes no difference; then it is computed once for both.
        ignores: whether some values may be `IGNORED`.
    """

    citation: ClassVar[str] = ""
    bibtex: ClassVar[str] = ""
    symmetric: bool = False
    ignores: ClassVar[bool] = False

    def name_recordings(self, names: Sequence[str]) -> None:
        """Take the names of all recordings, audio id i being `names[i]`; before `prepare`, where there are names."""

    def encode(self, captions: Sequence[str]) -> None:
        """Do the slow work for `captions`, caption id i being `captions[i]`, and leave it in a cache."""

    def prepare(self, captions: Sequence[str], audio_ids: npt.NDArray[np.int64]) -> None:
        """Make look-ups possible: `audio_ids[i]`, (C,) int64, is the recording that `captions[i]` describes."""
        raise NotImplementedError

    def sources(self) -> dict[str, str]:
        """Checksums by name of what it was made from besides the data, as of teachers: a resumed run needs the same."""
        return {}

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction) -> Tensor:
        """Relevance (Q, N) float32 in [0, 1] of pairs `item_ids` (N,) int64 for pairs `query_ids` (Q,) int64.

        Where `ignores` is true, a value may also be `IGNORED`.

        In the direction "text_to_audio" the queries are the captions of their pairs, and the items the recordings of
        theirs; in "audio_to_text" the reverse.
        """
        raise NotImplementedError

    def by_direction(
        self, query_ids: Tensor, item_ids: Tensor, directions: Iterable[Direction]
    ) -> dict[Direction, Tensor]:
        """Relevance (Q, N) by direction; one tensor for all where it is symmetric."""
        if not self.symmetric:
            return {direction: self(query_ids, item_ids, direction) for direction in directions}
        first, *_ = directions = tuple(directions)
        return dict.fromkeys(directions, self(query_ids, item_ids, first))
