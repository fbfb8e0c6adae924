"""Augmentation of training pairs: of waveforms, of captions, and of both together."""

from datamodules.augmentations.base import Augmentation, Source, augmented
from datamodules.augmentations.equaliser import Equaliser
from datamodules.augmentations.extra_captions import ExtraCaptions
from datamodules.augmentations.gain import Gain
from datamodules.augmentations.mixing import BackgroundMix, Mixup
from datamodules.augmentations.words import Synonyms, WordDropout

__all__ = [
    "Augmentation",
    "BackgroundMix",
    "Equaliser",
    "ExtraCaptions",
    "Gain",
    "Mixup",
    "Source",
    "Synonyms",
    "WordDropout",
    "augmented",
]
