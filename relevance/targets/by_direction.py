"""One kind of relevance for each direction."""

from torch import Tensor

from common.directions import TEXT_TO_AUDIO, Direction
from relevance.base import Relevance
from relevance.objectives.soft_clip import SoftCLIP
from relevance.targets.composed import Composed


class ByDirection(Composed):
    """A relevance for captions as queries, and another one for recordings as queries.

    So targets may come from within the query's modality: captions are compared with captions for text to audio, and
    recordings with recordings for audio to text, as SoftCLIP and CUSA do.

    Args:
        text_to_audio: for captions as queries, such as `CaptionSimilarity`.
        audio_to_text: for recordings as queries, such as `AudioSimilarity`.

    Relations: `MixedTargets` is the mean of several, in both directions.
    """

    citation, bibtex = SoftCLIP.citation, SoftCLIP.bibtex

    def __init__(self, text_to_audio: Relevance, audio_to_text: Relevance) -> None:
        super().__init__([text_to_audio, audio_to_text])
        self.symmetric = False

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction = TEXT_TO_AUDIO) -> Tensor:
        """Like `Relevance.forward`."""
        part = self.parts[0 if direction == TEXT_TO_AUDIO else 1]
        values: Tensor = part(query_ids, item_ids, direction)
        return values
