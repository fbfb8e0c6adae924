"""Matchers: from what two encoders give to scores of captions and recordings."""

from lightning_modules.matchers.base import Matcher
from lightning_modules.matchers.collaborative_experts import CollaborativeExperts
from lightning_modules.matchers.cosine import Cosine
from lightning_modules.matchers.experts import ExpertMatcher
from lightning_modules.matchers.mixture_of_experts import MixtureOfExperts
from lightning_modules.matchers.projected import Projected

__all__ = ["CollaborativeExperts", "Cosine", "ExpertMatcher", "Matcher", "MixtureOfExperts", "Projected"]
