"""Pooling: one vector of the tokens or frames that an encoder gives."""

from lightning_modules.pooling.attention import AttentionPooling
from lightning_modules.pooling.base import Pooling
from lightning_modules.pooling.gated import GatedPooling
from lightning_modules.pooling.max import MaxPooling
from lightning_modules.pooling.mean import MeanPooling
from lightning_modules.pooling.netvlad import NetVLAD
from lightning_modules.pooling.transformer import TransformerPooling

__all__ = [
    "AttentionPooling",
    "GatedPooling",
    "MaxPooling",
    "MeanPooling",
    "NetVLAD",
    "Pooling",
    "TransformerPooling",
]
