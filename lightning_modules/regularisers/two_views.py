"""Regularisers that compare two views of the same: of recordings, of captions, or of pairs."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.regularisers.base import Embedded, Regulariser

Views = Literal["audio", "text", "both", "pairs"]


class TwoViews(Regulariser):
    """A term of two views (B, D) each, computed in float32; a subclass says which.

    Vectors are brought to length sqrt(D), so that a dimension has standard deviation 1 where all are used alike: the
    embeddings that scores are made of mostly have unit length.

    Args:
        weight: of the term.
        of: "audio" embeds the recordings a second time, with other masks, dropout and crop, "text" the captions, with
            other dropout; "both" is the mean of the two terms, and "pairs" compares captions with their recordings,
            which costs nothing.
        crop: share of a recording that the second time hears, a random stretch.

    Raises:
        ModelError: a number is out of range, or `of` is something else.
    """

    def __init__(self, weight: float, of: Views, crop: float) -> None:
        super().__init__(weight)
        name = f"model.regularisers: {type(self).__name__}"
        if of not in get_args(Views):
            raise ModelError(f"{name}: of is '{of}': give one of {', '.join(get_args(Views))}")
        check_numbers(ModelError, name, 0.01, 1, crop=crop)
        self.of, self.crop = of, crop
        self.again = frozenset(side for side in ("audio", "text") if of in (side, "both"))

    def term(self, first: Tensor, second: Tensor) -> Tensor:
        """The term of two views (B, D), a scalar."""
        raise NotImplementedError

    def forward(self, embedded: Embedded) -> Tensor:
        """The mean over the pairs of views that are compared."""
        views = {"audio": (embedded.audio, embedded.audio_again), "text": (embedded.text, embedded.text_again)}
        compared = [(embedded.audio, embedded.text)] if self.of == "pairs" else [views[side] for side in self.again]
        terms = []
        for first, second in compared:
            assert second is not None
            if first.shape[1] != second.shape[1]:
                raise ModelError(
                    f"model.regularisers: {type(self).__name__}: recordings are embedded in {first.shape[1]} numbers "
                    f"and captions in {second.shape[1]}; give of: both"
                )
            with torch.autocast(first.device.type, enabled=False):
                terms.append(self.term(_scaled(first), _scaled(second)))
        return torch.stack(terms).mean()


def _scaled(vectors: Tensor) -> Tensor:
    scaled: Tensor = F.normalize(vectors.float(), dim=1) * vectors.shape[1] ** 0.5
    return scaled
