"""Graded relevance estimated by a moving average of the model that is trained: momentum distillation."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from common.directions import TEXT_TO_AUDIO, Direction
from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.base import Relevance
from relevance.targets.binary import SameAudio
from relevance.targets.estimated_correspondence import mean_cosine


class OwnAverage(Relevance):
    """g = (1 + c) / 2, where c are the cosines by a moving average of the trained weights, of the batch at hand.

    `python train.py fit` keeps the average and lets it embed each batch, without dropout. It costs one more forward
    pass a step and the model's size in memory; checkpoints hold it. The validation loss is taken against the annotated
    pairs, since the average embeds no validation recordings.

    Use it inside `MixedTargets` beside `SameAudio`: alone it knows nothing of the annotation, and at the beginning it
    knows nothing at all. As with `EstimatedCorrespondence`, omega is half of the temperature that papers give.

    Args:
        momentum: share of the average that stays at a step. At 1 it stays as it began; at 0 it is the model itself,
            whose targets say nothing new.

    Relations: take `EstimatedCorrespondence` where finished models are at hand; that costs nothing in a step.

    Source: Li et al. 2021, section 3.4: targets (1 - a) one-hot + a softmax(s / tau), a .4, momentum .995.
    """

    citation = 'Li et al. 2021, "Align before fuse"'
    bibtex = (
        "@inproceedings{li2021align, title={Align before fuse}, author={Li, Junnan and others}, "
        "booktitle={Advances in Neural Information Processing Systems}, year={2021}}"
    )

    def __init__(self, momentum: float = 0.995) -> None:
        super().__init__()
        check_numbers(RelevanceError, "OwnAverage", 0, 1, momentum=momentum)
        self.momentum = momentum
        self._annotated = SameAudio()
        self._batch: tuple[Tensor, Tensor, Tensor] | None = None

    def take(self, caption_ids: Tensor, text: Tensor, audio: Tensor) -> None:
        """Take what the average embeds of a batch's N pairs, over all devices.

        Args:
            caption_ids: (N,) int64.
            text, audio: (N, D) unit vectors of the captions and of their recordings.
        """
        self._batch = caption_ids, text, audio

    def prepare(self, captions: Sequence[str], audio_ids: npt.NDArray[np.int64]) -> None:
        """Like `Relevance.prepare`."""
        self._annotated.prepare(captions, audio_ids)

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction = TEXT_TO_AUDIO) -> Tensor:
        """Like `Relevance.forward`.

        Raises:
            RelevanceError: no average has embedded these pairs.
        """
        if not self.training:
            return self._annotated(query_ids, item_ids)  # type: ignore[no-any-return]
        if self._batch is None:
            raise RelevanceError(
                "OwnAverage has no average of the model: train with `python train.py fit`, or give the Trainer the "
                "callback lightning_modules.training.momentum_teacher.MomentumTeacher()"
            )
        ids, text, audio = self._batch
        left, right = (text, audio) if direction == TEXT_TO_AUDIO else (audio, text)
        cosine = mean_cosine([left[_rows(ids, query_ids)]], [right[_rows(ids, item_ids)]], [1.0])
        return (1 + cosine) / 2  # (Q, N)


def _rows(held: Tensor, wanted: Tensor) -> Tensor:
    """Where `wanted` ids (Q,) stand among those held (N,).

    Raises:
        RelevanceError: one is not there.
    """
    same = wanted[:, None] == held[None, :]  # (Q, N)
    if not same.any(dim=1).all():
        raise RelevanceError("the average of the model has embedded another batch; embed each batch before its step")
    return same.int().argmax(dim=1)
