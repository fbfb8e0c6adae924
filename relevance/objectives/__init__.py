"""Objectives: the loss of scores against relevance."""

from relevance.objectives.base import Objective, listnet_loss, mass_off_pair, target_distribution, target_entropy
from relevance.objectives.infonce import InfoNCE
from relevance.objectives.listnet import ListNet
from relevance.objectives.max_margin import MaxMargin, max_margin_loss
from relevance.objectives.target_checks import check_relevance, check_targets

__all__ = [
    "InfoNCE",
    "ListNet",
    "MaxMargin",
    "Objective",
    "check_relevance",
    "check_targets",
    "listnet_loss",
    "mass_off_pair",
    "max_margin_loss",
    "target_distribution",
    "target_entropy",
]
