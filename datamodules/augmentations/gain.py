"""A random level."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from common.errors import DataError
from common.numbers import check_numbers
from datamodules.augmentations.base import Augmentation, Side, Source
from datamodules.batch import Example


class Gain(Augmentation):
    """Multiplies a waveform by 10 ^ (u / 20), u uniform from `-decibels` to `decibels`; nothing is clipped.

    Args:
        decibels: the largest change.
        share: of the examples.

    Raises:
        DataError: a number is out of range.
    """

    sides: ClassVar[frozenset[Side]] = frozenset({"audio"})

    def __init__(self, decibels: float = 6.0, share: float = 1.0) -> None:
        super().__init__(share)
        check_numbers(DataError, self.title, 0, 60, decibels=decibels)
        self.decibels = decibels

    def __call__(self, example: Example, rng: np.random.Generator, source: Source) -> Example:
        """With another level."""
        factor = np.float32(10 ** (rng.uniform(-self.decibels, self.decibels) / 20))
        return replace(example, waveform=example.waveform * factor)
