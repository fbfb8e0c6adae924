"""Channels mixed to one, and samples that cannot be sound refused."""

import functools
import logging
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from common.errors import DataError

log = logging.getLogger(__name__)

LOUDEST = 32.0
"""What a sample may be at most, full scale being 1: float files may go beyond it, but not by 30 dB."""

SILENCE = 1e-3
"""A mix below this share (-60 dB) of its channels is silence: they are each other's opposite."""


Mix = Literal["mean", "loudest", "left"]
"""What of several channels is taken: their mean, the one of most energy, or the first."""


def mix_to_mono(
    samples: npt.NDArray[np.float32], path: Path, remedy: str, mix: Mix = "mean"
) -> npt.NDArray[np.float32]:
    """One channel (T,) of the channels (T, C) of a file; in place of a mean that cancels out, the loudest one.

    Raises:
        DataError: samples are NaN, infinite, or far beyond full scale, as where whole numbers are stored as floats.
    """
    if samples.shape[1] == 1 or mix == "left":
        mono = samples[:, 0]
    elif mix == "loudest":
        mono = samples[:, int(np.argmax(np.square(samples, dtype=np.float64).sum(axis=0)))]
    else:
        mono = samples.mean(axis=1)
    peak = _peak(mono)
    if samples.shape[1] > 1 and mix == "mean" and peak < SILENCE:
        peaks = [_peak(channel) for channel in samples.T]
        peak = max(peak, *peaks)
        if _peak(mono) < SILENCE * peak <= LOUDEST:
            loudest = int(np.argmax(peaks))
            warn_of_cancellation(path, loudest + 1)
            mono = samples[:, loudest]
    if not np.isfinite(peak):
        raise DataError(f"{path}: holds NaN or infinite samples; {remedy}")
    if peak > LOUDEST:
        raise DataError(
            f"{path}: holds samples of up to {peak:.4g}, where full scale is 1 (whole numbers stored as floats? divide "
            f"them by 32768, or by what their full scale is); {remedy}"
        )
    return np.asarray(mono, dtype=np.float32)


def _peak(samples: npt.NDArray[np.float32]) -> float:
    """The largest magnitude, NaN where one is NaN."""
    if len(samples) == 0:
        return 0.0
    return float(np.maximum(samples.max(), -samples.min()))


@functools.cache
def warn_of_cancellation(path: Path, channel: int) -> None:
    """Say, once a file, that one channel is taken."""
    log.warning(
        "%s: its channels cancel each other out (opposite phase), so their mean is silence; channel %d is taken alone",
        path,
        channel,
    )
