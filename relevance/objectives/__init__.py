"""Objectives: the loss of scores against relevance."""

from relevance.objectives.approx_ndcg import ApproxNDCG
from relevance.objectives.base import (
    Objective,
    ScoreLoss,
    listnet_loss,
    mass_off_pair,
    most_relevant,
    target_distribution,
    target_entropy,
)
from relevance.objectives.cusa import CUSA
from relevance.objectives.hard_negatives import HNNCE, Decoupled, HybridNCE
from relevance.objectives.infonce import InfoNCE
from relevance.objectives.lambda_loss import LambdaLoss
from relevance.objectives.listmle import ListMLE
from relevance.objectives.listnet import ListNet
from relevance.objectives.max_margin import MaxMargin, max_margin_loss
from relevance.objectives.neural_ndcg import NeuralNDCG
from relevance.objectives.optimal_transport import OptimalTransport
from relevance.objectives.prior_revised import PriorRevised
from relevance.objectives.ranked_rince import RankedRINCE
from relevance.objectives.ranknet import RankNet
from relevance.objectives.relevance_checks import check_relevance
from relevance.objectives.robust_rince import RobustRINCE
from relevance.objectives.siglip import SigLIP, SoftSigLIP
from relevance.objectives.smooth_ap import SmoothAP
from relevance.objectives.soft_clip import SoftCLIP
from relevance.objectives.target_checks import check_targets
from relevance.objectives.triplet import Triplet
from relevance.objectives.weighted_triplet import WeightedTriplet

__all__ = [
    "CUSA",
    "HNNCE",
    "ApproxNDCG",
    "Decoupled",
    "HybridNCE",
    "InfoNCE",
    "LambdaLoss",
    "ListMLE",
    "ListNet",
    "MaxMargin",
    "NeuralNDCG",
    "Objective",
    "OptimalTransport",
    "PriorRevised",
    "RankNet",
    "RankedRINCE",
    "RobustRINCE",
    "ScoreLoss",
    "SigLIP",
    "SmoothAP",
    "SoftCLIP",
    "SoftSigLIP",
    "Triplet",
    "WeightedTriplet",
    "check_relevance",
    "check_targets",
    "listnet_loss",
    "mass_off_pair",
    "max_margin_loss",
    "most_relevant",
    "target_distribution",
    "target_entropy",
]
