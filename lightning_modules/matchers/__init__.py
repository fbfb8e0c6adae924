"""Matchers: from what two encoders give to scores of captions and recordings."""

from lightning_modules.matchers.base import Matcher
from lightning_modules.matchers.co_attention import CoAttention
from lightning_modules.matchers.collaborative_experts import CollaborativeExperts
from lightning_modules.matchers.cosine import Cosine
from lightning_modules.matchers.experts import ExpertMatcher
from lightning_modules.matchers.late_interaction import LateInteraction
from lightning_modules.matchers.matryoshka import Matryoshka
from lightning_modules.matchers.mixture_of_experts import MixtureOfExperts
from lightning_modules.matchers.projected import Projected
from lightning_modules.matchers.text_aware_pooling import TextAwarePooling

__all__ = [
    "CoAttention",
    "CollaborativeExperts",
    "Cosine",
    "ExpertMatcher",
    "LateInteraction",
    "Matcher",
    "Matryoshka",
    "MixtureOfExperts",
    "Projected",
    "TextAwarePooling",
]
