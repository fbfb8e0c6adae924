"""Label smoothing."""

import torch
from torch import Tensor

from common.directions import TEXT_TO_AUDIO, Direction
from common.errors import RelevanceError
from common.numbers import check_numbers
from relevance.base import Relevance
from relevance.objectives.base import target_distribution
from relevance.targets.binary import SameAudio
from relevance.targets.composed import Composed


def smoothed(target: Tensor, smoothing: float) -> Tensor:
    """(1 - a) P on the items of a target P (Q, N), and a shared by the n items that have none of it, a / n each.

    Rows whose items all have a share stay as they are.

    >>> smoothed(torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]), 0.2)
    tensor([[0.8000, 0.1000, 0.1000],
            [0.4000, 0.4000, 0.2000]])
    """
    rest = target == 0
    count = rest.sum(1, keepdim=True)
    return torch.where(rest, smoothing / count.clamp_min(1), target * torch.where(count > 0, 1 - smoothing, 1.0))


class SmoothedTargets(Composed):
    """Label smoothing: a share of the target goes to all other items of the batch alike.

    What it gives is a distribution over the items already, so the objective takes it as it is, with `omega: null`.

    Args:
        part: the relevance whose rows, divided by their sum, are smoothed; default: `SameAudio`.
        smoothing: the share a; .2 in PyramidCLIP. At 0 it is the part's target; near 1 nothing is learned from it.

    Relations: take it where captions may fit other recordings and nothing says which; where their similarity does, take
    `CaptionSimilarity`, or `FalseNegatives` to leave such pairs out.

    Source: from memory of the paper; a / (B - 1) on each of the B - 1 negatives.
    """

    citation = 'Gao et al. 2022, "PyramidCLIP: hierarchical feature alignment for vision-language model pretraining"'
    bibtex = (
        "@inproceedings{gao2022pyramidclip, "
        "title={PyramidCLIP: hierarchical feature alignment for vision-language model pretraining}, "
        "author={Gao, Yuting and others}, booktitle={Advances in Neural Information Processing Systems}, year={2022}}"
    )

    def __init__(self, part: Relevance | None = None, smoothing: float = 0.2) -> None:
        part = SameAudio() if part is None else part
        super().__init__([part])
        check_numbers(RelevanceError, "SmoothedTargets", 0, 1, smoothing=smoothing)
        if part.ignores:
            raise RelevanceError("SmoothedTargets: its part leaves pairs out; put FalseNegatives around it instead")
        self.smoothing = smoothing

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction = TEXT_TO_AUDIO) -> Tensor:
        """P (Q, N) float32; rows sum to 1."""
        return smoothed(target_distribution(self.parts[0](query_ids, item_ids, direction), None), self.smoothing)
