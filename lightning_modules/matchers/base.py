"""The interface of matchers."""

from collections.abc import Mapping

from torch import Tensor, nn

from common.directions import TEXT_TO_AUDIO, Direction
from common.errors import ModelError
from evaluation.scores import FunctionScores, Scores
from lightning_modules.states import Encoded, ExpertSize


class Matcher(nn.Module):
    """Owns the heads, and says how well a caption and a recording match.

    What it makes of inputs is one float32 tensor whose first dimension counts them; the rest of its shape is the
    matcher's own affair, (N, D) for one vector, (N, E, D) for several. So it can be gathered over ranks, collected
    over a split and computed in chunks.

    Attributes:
        takes_states: whether it takes tokens and frames as they are; otherwise a pooling part makes vectors of them.
        takes_experts: whether it takes vectors of experts apart; otherwise it is given them side by side.
        unit_length: whether what is embedded are unit vectors, compared by cosine similarity.
    """

    takes_states: bool = False
    takes_experts: bool = False
    unit_length: bool = False

    def connect(self, audio_dim: int, text_dim: int) -> None:
        """Make the heads for encoders of these sizes."""
        raise NotImplementedError

    def connect_experts(self, experts: Mapping[str, ExpertSize], text_dim: int) -> None:
        """The same for an encoder that gives vectors of several experts."""
        self.connect(sum(size.pooled for size in experts.values()), text_dim)

    def audio(self, encoded: Encoded) -> Tensor:
        """What is embedded of A recordings: (A, ...) float32."""
        raise NotImplementedError

    def text(self, encoded: Encoded) -> Tensor:
        """What is embedded of C captions: (C, ...) float32."""
        raise NotImplementedError

    def scores(self, text: Tensor, audio: Tensor) -> Tensor:
        """Scores (C, A) float32 of embedded captions (C, ...) and recordings (A, ...), also under autocast."""
        raise NotImplementedError

    def ranked(self, queries: Tensor, items: Tensor, direction: Direction) -> Tensor:
        """Scores (Q, N) float32 of embedded queries and items: captions and recordings, or the reverse."""
        return self.scores(queries, items) if direction == TEXT_TO_AUDIO else self.scores(items, queries).T

    def all_ranked(self, queries: Tensor, items: Tensor, direction: Direction) -> dict[str, Tensor]:
        """Scores by name, of whose losses the mean is trained: one, without a name, unless a matcher has several."""
        return {"": self.ranked(queries, items, direction)}

    def vectors(self, embedded: Tensor) -> Tensor:
        """One vector (N, D) of each of N embedded inputs, which regularisers look at."""
        return embedded.flatten(1)

    def within(self, queries: Tensor, others: Tensor) -> Tensor:
        """Scores (Q, N) float32 of embedded queries for others of their own modality, both (., ...).

        Raises:
            ModelError: the matcher compares captions with recordings alone.
        """
        raise ModelError(
            f"model.matcher: {type(self).__name__} compares captions with recordings alone, and this objective also "
            "compares captions with captions; take Cosine"
        )

    def pool_scores(self, text: Tensor, audio: Tensor) -> Scores:
        """The same for whole pools, computed in blocks."""
        return FunctionScores(self.scores, text, audio)

    def further_scores(self, text: Tensor, audio: Tensor) -> dict[str, Scores]:
        """Other scores of the same pools, by a name under which their metrics are logged too."""
        return {}
