"""Kinds of relevance that targets are made of."""

from relevance.targets.binary import SameAudio
from relevance.targets.caption_similarity import CaptionSimilarity
from relevance.targets.estimated_correspondence import EstimatedCorrespondence
from relevance.targets.known_relevance import KnownRelevance
from relevance.targets.mixture import MixedTargets
from relevance.targets.own_average import OwnAverage

__all__ = ["CaptionSimilarity", "EstimatedCorrespondence", "KnownRelevance", "MixedTargets", "OwnAverage", "SameAudio"]
