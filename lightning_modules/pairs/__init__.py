"""Pretrained pairs: both towers out of one checkpoint. A config can name the classes exported here."""

from lightning_modules.pairs.base import Pair
from lightning_modules.pairs.clap import ClapPair
from lightning_modules.pairs.converted import ConvertedPair
from lightning_modules.pairs.pe_audio import PeAudioPair

__all__ = ["ClapPair", "ConvertedPair", "Pair", "PeAudioPair"]
