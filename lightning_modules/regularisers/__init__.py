"""Regularisers: terms that are added to the loss of any objective, and bounds on what it trains."""

from lightning_modules.regularisers.balance import EmbeddingBalance
from lightning_modules.regularisers.barlow_twins import BarlowTwins
from lightning_modules.regularisers.base import Embedded, Regulariser, Regularisers
from lightning_modules.regularisers.temperature_bounds import TemperatureBounds
from lightning_modules.regularisers.vicreg import VICReg

__all__ = [
    "BarlowTwins",
    "Embedded",
    "EmbeddingBalance",
    "Regulariser",
    "Regularisers",
    "TemperatureBounds",
    "VICReg",
]
