"""Objectives: the loss of scores against relevance."""

from relevance.objectives.base import Objective, listnet_loss, target_distribution, target_entropy
from relevance.objectives.infonce import InfoNCE
from relevance.objectives.listnet import ListNet
from relevance.objectives.target_checks import check_targets

__all__ = [
    "InfoNCE",
    "ListNet",
    "Objective",
    "check_targets",
    "listnet_loss",
    "target_distribution",
    "target_entropy",
]
