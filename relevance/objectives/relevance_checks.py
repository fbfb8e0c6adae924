"""Whether an objective can use the relevance of a run."""

import torch
from torch import Tensor

from common.errors import RelevanceError
from relevance.base import IGNORED


def check_relevance(relevance: Tensor) -> None:
    """Whether relevance (Q, N) is a number in [0, 1], or `IGNORED`, everywhere.

    Raises:
        RelevanceError: it is not.
    """
    if not torch.isfinite(relevance).all():
        raise RelevanceError(
            "relevance has NaN or infinite values: look at the caption embeddings (an empty caption, a broken model "
            "folder) and at the scoring function's constants"
        )
    known = relevance[relevance != IGNORED]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    if low < -1e-4 or high > 1 + 1e-4:
        raise RelevanceError(f"relevance must be in [0, 1] but spans [{low:.3g}, {high:.3g}]; fix the scoring")


def check_binary(relevance: Tensor, owner: str, instead: str) -> None:
    """Whether relevance (Q, N) is 0, 1 or `IGNORED` everywhere.

    Args:
        relevance: of a run.
        owner: the objective, for the message.
        instead: an objective for graded relevance.

    Raises:
        RelevanceError: it is graded.
    """
    graded = relevance[(relevance != 0) & (relevance != 1) & (relevance != IGNORED)]
    if len(graded):
        raise RelevanceError(
            f"{owner} needs binary relevance, but there is {float(graded[0]):.3g}: take model.relevance SameAudio, or "
            f"model.objective {instead}"
        )


def check_graded(relevance: Tensor, owner: str) -> None:
    """Whether some query of relevance (Q, N) tells items apart that are not its most relevant ones.

    Raises:
        RelevanceError: relevance is binary.
    """
    known = relevance.masked_fill(relevance == IGNORED, 0)
    high = known.amax(dim=1, keepdim=True)
    rest = known.masked_fill(known > high - 1e-6, 0)
    if not ((rest > 1e-6).any()):
        raise RelevanceError(
            f"{owner} needs graded relevance, but all items except the most relevant ones have relevance 0: take "
            "model.relevance CaptionSimilarity, or other negatives"
        )


def check_levels(relevance: Tensor, owner: str) -> None:
    """Whether relevance (Q, N) ranks the items of at least one query.

    Raises:
        RelevanceError: for each query all items are equally relevant.
    """
    known = relevance.masked_fill(relevance == IGNORED, 0)
    if not (known.amax(dim=1) > known.amin(dim=1)).any():
        raise RelevanceError(
            f"{owner} has nothing to rank: for each query all {relevance.shape[1]} items of the batch are equally "
            "relevant; raise data.batch_size, or fix the scoring function"
        )
