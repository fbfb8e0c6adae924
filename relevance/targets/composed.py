"""Relevance made of other kinds of relevance."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import nn

from relevance.base import Relevance


class Composed(Relevance):
    """Base of kinds of relevance that have parts: all that parts are to do is handed on to them.

    Args:
        parts: the kinds of relevance; `symmetric` says whether all of them are.
    """

    def __init__(self, parts: Sequence[Relevance]) -> None:
        super().__init__()
        self.parts: Sequence[Relevance] = nn.ModuleList(parts)  # type: ignore[assignment]
        self.symmetric = all(part.symmetric for part in parts)

    def name_recordings(self, names: Sequence[str]) -> None:
        """Like `Relevance.name_recordings`, for every part."""
        for part in self.parts:
            part.name_recordings(names)

    def encode(self, captions: Sequence[str]) -> None:
        """Like `Relevance.encode`, for every part."""
        for part in self.parts:
            part.encode(captions)

    def prepare(self, captions: Sequence[str], audio_ids: npt.NDArray[np.int64]) -> None:
        """Like `Relevance.prepare`, for every part."""
        for part in self.parts:
            part.prepare(captions, audio_ids)
