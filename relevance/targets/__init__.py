"""Kinds of relevance that targets are made of."""

from relevance.targets.audio_similarity import AudioSimilarity
from relevance.targets.binary import SameAudio
from relevance.targets.by_direction import ByDirection
from relevance.targets.caption_similarity import CaptionSimilarity
from relevance.targets.estimated_correspondence import EstimatedCorrespondence
from relevance.targets.false_negatives import FalseNegatives
from relevance.targets.human_ratings import HumanRatings
from relevance.targets.known_relevance import KnownRelevance
from relevance.targets.mixture import MixedTargets
from relevance.targets.own_average import OwnAverage
from relevance.targets.smoothed import SmoothedTargets

__all__ = [
    "AudioSimilarity",
    "ByDirection",
    "CaptionSimilarity",
    "EstimatedCorrespondence",
    "FalseNegatives",
    "HumanRatings",
    "KnownRelevance",
    "MixedTargets",
    "OwnAverage",
    "SameAudio",
    "SmoothedTargets",
]
