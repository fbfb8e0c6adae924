"""Vectors whose first dimensions are vectors too."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from common.directions import Direction
from common.errors import ModelError
from evaluation.scores import EmbeddingScores, Scores
from lightning_modules.matchers.cosine import Cosine, cosine_scores
from lightning_modules.matchers.heads import Head


class Matryoshka(Cosine):
    """`Cosine`, trained at several widths: the loss is the mean over those of the first d dimensions, normalised again.

    So an index may keep the first d dimensions alone. Metrics of each narrower width are logged as
    `test/width_64/text_to_audio/mAP@10`, and its loss as `train/loss/width_64`.

    Args:
        embedding_dim: of the shared space, the full width.
        head: projection of both encoders.
        widths: the narrower ones.

    Raises:
        ModelError: a width is below 1 or not below `embedding_dim`, or is given twice; or as `Cosine`.

    Relations: with no widths it is `Cosine`. The cost is one more product of a batch for each.

    Source: Kusupati et al. 2022, "Matryoshka representation learning", equation 1 with equal weights.
    """

    def __init__(self, embedding_dim: int = 1024, head: Head = "mlp", widths: Sequence[int] = (512, 256, 128)) -> None:
        super().__init__(embedding_dim, head)
        if not all(1 <= width < embedding_dim for width in widths) or len({*widths}) < len(widths):
            raise ModelError(
                f"model.matcher: widths are {[*widths]}; give each once, from 1 to {embedding_dim - 1}, since "
                f"embedding_dim, {embedding_dim}, is trained anyway"
            )
        self.widths = tuple(sorted(widths, reverse=True))

    def all_ranked(self, queries: Tensor, items: Tensor, direction: Direction) -> dict[str, Tensor]:
        """Cosine similarities (Q, N) at all widths."""
        narrower = {f"width_{width}": cosine_scores(*_cut(width, queries, items)) for width in self.widths}
        return super().all_ranked(queries, items, direction) | narrower

    def further_scores(self, text: Tensor, audio: Tensor) -> dict[str, Scores]:
        """Those at the narrower widths."""
        return {f"width_{width}": EmbeddingScores(*_cut(width, text, audio)) for width in self.widths}


def _cut(width: int, *embedded: Tensor) -> list[Tensor]:
    return [F.normalize(vectors[:, :width], dim=1) for vectors in embedded]
