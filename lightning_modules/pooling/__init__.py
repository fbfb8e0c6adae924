"""Pooling: one vector of the tokens or frames that an encoder gives."""

from lightning_modules.pooling.attention import AttentionPooling
from lightning_modules.pooling.base import Pooling
from lightning_modules.pooling.mean import MeanPooling

__all__ = ["AttentionPooling", "MeanPooling", "Pooling"]
