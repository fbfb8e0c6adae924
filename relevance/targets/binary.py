"""Binary relevance: a pair is relevant to a pair of the same recording, and to no other."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.directions import TEXT_TO_AUDIO, Direction
from common.errors import RelevanceError
from relevance.base import Relevance
from relevance.objectives.max_margin import MaxMargin


class SameAudio(Relevance):
    """1 where two captions describe the same recording, else 0: what contrastive training usually assumes.

    Two captions of one recording in a batch are both positives, not each other's negatives.

    Relations: take `CaptionSimilarity` where captions of other recordings often fit as well; nothing is to be computed
    or fetched for `SameAudio`. The objective should have `omega: null`: softmax would give every negative a share.

        >>> relevance = SameAudio()
        >>> relevance.prepare(["rain", "it rains", "a dog"], np.array([7, 7, 9]))
        >>> relevance(torch.tensor([0, 2]), torch.tensor([1, 2]))
        tensor([[1., 0.],
                [0., 1.]])
    """

    citation, bibtex = MaxMargin.citation, MaxMargin.bibtex
    symmetric = True

    def __init__(self) -> None:
        super().__init__()
        self._audio_of: Tensor | None = None  # (C,) not a buffer: DDP would broadcast it at every step

    def prepare(self, captions: Sequence[str], audio_ids: npt.NDArray[np.int64]) -> None:
        """Like `Relevance.prepare`."""
        self._audio_of = torch.as_tensor(audio_ids, dtype=torch.int64)

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction = TEXT_TO_AUDIO) -> Tensor:
        """Like `Relevance.forward`."""
        if self._audio_of is None:
            raise RelevanceError("SameAudio was called before prepare(): it does not know which audio a caption has")
        if self._audio_of.device != query_ids.device:
            self._audio_of = self._audio_of.to(query_ids.device)
        return (self._audio_of[query_ids][:, None] == self._audio_of[item_ids][None, :]).float()  # (Q, N)
