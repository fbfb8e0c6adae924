"""A random equaliser."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy.fft

from common.errors import DataError
from common.numbers import check_numbers
from datamodules.augmentations.base import Augmentation, Side, Source
from datamodules.batch import Example

LOWEST = 50.0
"""Hz; below it the gain is that of the lowest point."""


class Equaliser(Augmentation):
    """Raises and lowers frequencies by random gains, as another microphone, room or distance does.

    Gains in dB are uniform from `-decibels` to `decibels` at points that are spaced evenly in log frequency from 50 Hz
    to half the sample rate, and linear between them. Phases stay as they are.

    Args:
        decibels: the largest change.
        points: where gains are drawn.
        share: of the examples.

    Raises:
        DataError: a number is out of range.

    Relations: FilterAugment of sound event detection does so on the bands of a mel spectrogram; here filters act on the
    waveform, so that they serve every encoder.
    """

    sides: ClassVar[frozenset[Side]] = frozenset({"audio"})

    def __init__(self, decibels: float = 6.0, points: int = 6, share: float = 0.5) -> None:
        super().__init__(share)
        check_numbers(DataError, self.title, 0, 60, decibels=decibels)
        check_numbers(DataError, self.title, 2, 100, points=points)
        self.decibels, self.points = decibels, points

    def __call__(self, example: Example, rng: np.random.Generator, source: Source) -> Example:
        """With other levels of frequencies."""
        gains = rng.uniform(-self.decibels, self.decibels, self.points)
        return replace(example, waveform=equalised(example.waveform, source.sample_rate, gains))


def equalised(
    waveform: npt.NDArray[np.float32], sample_rate: int, gains: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """A waveform (T,) with gains (P,) in dB at points from 50 Hz to half the sample rate; (T,) float32."""
    size = scipy.fft.next_fast_len(len(waveform), real=True)
    spectrum = scipy.fft.rfft(waveform, size)
    frequencies = scipy.fft.rfftfreq(size, 1 / sample_rate)
    points = np.geomspace(min(LOWEST, sample_rate / 4), sample_rate / 2, len(gains))
    decibels = np.interp(np.log(np.maximum(frequencies, points[0])), np.log(points), gains)
    changed = scipy.fft.irfft(spectrum * (10 ** (decibels / 20)).astype(np.float32), size)[: len(waveform)]
    result: npt.NDArray[np.float32] = changed.astype(np.float32)
    return result
