"""Pairs that may be relevant although nobody said so: left out."""

from typing import ClassVar

from torch import Tensor

from common.directions import TEXT_TO_AUDIO, Direction
from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.base import IGNORED, Relevance
from relevance.objectives.base import SAME
from relevance.targets.binary import SameAudio
from relevance.targets.composed import Composed


class FalseNegatives(Composed):
    """A relevance whose negatives are left out of the objective where a guide finds them relevant.

    Left out means `IGNORED`: such an item is in no denominator, and no negative of a triplet.

    Args:
        guide: what finds false negatives, such as `CaptionSimilarity` with `Linear`, the captions' cosine h.
        part: the relevance; its negatives are where it is 0. Default: `SameAudio`.
        above: leave out negatives whose guide value is above this, as a mask of near neighbours does. No value is
            published for audio; .7 is that of `Threshold`. Near 1 equal captions alone are left out; far below .5 most
            negatives are, and nothing is learned.
        margin: instead, leave out negatives whose guide value is above that of the query's own pair less this margin,
            as GISTEmbed does with margin 0 and a guide that scores own pairs below 1, such as a teacher. A caption's
            similarity to itself is 1, so with `CaptionSimilarity` only a margin above 0 leaves anything out.

    Relations: `CaptionSimilarity` gives such pairs a share of the target instead, which is more to learn from where the
    guide is right. Objectives that assign or revise all items of a batch (optimal transport, prior revised) and those
    with `omega` refuse it.

    Raises:
        RelevanceError: both `above` and `margin` are given, or neither.
    """

    citation = 'Solatorio 2024, "GISTEmbed: guided in-sample selection of training negatives for text embedding"'
    bibtex = (
        "@misc{solatorio2024gistembed, "
        "title={GISTEmbed: guided in-sample selection of training negatives for text embedding}, "
        "author={Solatorio, Aivin V.}, eprint={2402.16829}, archivePrefix={arXiv}, year={2024}}"
    )
    ignores: ClassVar[bool] = True

    def __init__(
        self,
        guide: Relevance,
        part: Relevance | None = None,
        above: float | None = 0.7,
        margin: float | None = None,
    ) -> None:
        super().__init__([SameAudio() if part is None else part, guide])
        if (above is None) == (margin is None):
            raise RelevanceError(f"FalseNegatives: above is {above} and margin is {margin}; give one, and null for one")
        check_numbers(RelevanceError, "FalseNegatives", 0, 1, above=above, margin=margin)
        self.symmetric = self.symmetric and margin is None
        self.above, self.margin = above or 0.0, margin

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction = TEXT_TO_AUDIO) -> Tensor:
        """Like `Relevance.forward`."""
        part, guide = self.parts
        relevance = part(query_ids, item_ids, direction)  # (Q, N)
        found = guide(query_ids, item_ids, direction)
        if self.margin is None:
            false = found > self.above + SAME
        else:
            own = guide(query_ids, query_ids, direction).diagonal()[:, None]  # (Q, 1)
            false = found > own - self.margin + SAME
        masked: Tensor = relevance.masked_fill((relevance == 0) & false, IGNORED)
        return masked
