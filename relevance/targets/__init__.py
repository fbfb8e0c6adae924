"""Kinds of relevance that targets are made of."""

from relevance.targets.binary import SameAudio
from relevance.targets.caption_similarity import CaptionSimilarity
from relevance.targets.known_relevance import KnownRelevance
from relevance.targets.mixture import MixedTargets

__all__ = ["CaptionSimilarity", "KnownRelevance", "MixedTargets", "SameAudio"]
