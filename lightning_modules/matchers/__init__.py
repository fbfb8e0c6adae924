"""Matchers: from what two encoders give to scores of captions and recordings."""

from lightning_modules.matchers.base import Matcher
from lightning_modules.matchers.cosine import Cosine
from lightning_modules.matchers.projected import Projected

__all__ = ["Cosine", "Matcher", "Projected"]
