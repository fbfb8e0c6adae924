"""InfoNCE."""

from relevance.objectives.base import Directions, Objective


class InfoNCE(Objective):
    """InfoNCE (NT-Xent): ListNet's formula on binary relevance, rows normalised, so equal audios are all positives.

    Use with `SameAudio`. Like `ListNet` with `omega=None`, but in both directions by default.
    """

    citation = 'van den Oord et al. 2018, "Representation learning with contrastive predictive coding"'

    def __init__(self, direction: Directions = "both", tau: float = 0.05, learn_tau: bool = False) -> None:
        super().__init__(direction, tau, None, learn_tau)
