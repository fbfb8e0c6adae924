"""Building blocks of synthesis: noise, tones, envelopes, filters, reverberation. All signals are `(n,)` float64."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

SAMPLE_RATE = 16_000

Signal = NDArray[np.float64]
Range = tuple[float, float]


def samples(seconds: float) -> int:
    """`seconds` in samples."""
    return round(seconds * SAMPLE_RATE)


def draw(rng: np.random.Generator, value: str, **ranges: Range) -> float:
    """A parameter for an attribute: uniform in the range that carries the value's name.

    >>> 1.0 <= draw(np.random.default_rng(0), "slow", slow=(1.0, 2.0), fast=(4.0, 6.0)) < 2.0
    True
    """
    return float(rng.uniform(*ranges[value]))


def noise(n: int, rng: np.random.Generator, colour: float = 0.0) -> Signal:
    """Noise of unit power whose power falls as 1 / f^colour: 0 white, 1 pink, 2 brown."""
    size = int(fft.next_fast_len(n, real=True))  # ten times as fast as an n with a large prime factor
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** (colour / 2)
    spectrum[: 1 + int(20 * size / SAMPLE_RATE)] = 0  # nothing below 20 Hz: it cannot be heard and eats the range
    x = np.fft.irfft(spectrum, size)[:n]
    return np.asarray(x / (np.sqrt(np.mean(x**2)) + 1e-12))


def band(x: Signal, low: float, high: float, order: int = 2) -> Signal:
    """`x` between `low` and `high` Hz."""
    sos = signal.butter(order, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
    return np.asarray(signal.sosfilt(sos, x))


def lowpass(x: Signal, cutoff: float, order: int = 2) -> Signal:
    """`x` below `cutoff` Hz."""
    return np.asarray(signal.sosfilt(signal.butter(order, cutoff, fs=SAMPLE_RATE, output="sos"), x))


def tone(frequency: Signal, partials: Sequence[float] = (1.0,)) -> Signal:
    """A tone with a moving pitch.

    Args:
        frequency: `(n,)` Hz, sample by sample.
        partials: Amplitudes of the first, second, ... harmonic; those above 0.45 of the sample rate are left out.
    """
    phase = 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE
    out = np.zeros(len(frequency))
    for k, amplitude in enumerate(partials, 1):
        out += amplitude * np.sin(k * phase) * (k * frequency < 0.45 * SAMPLE_RATE)
    return out


def decay(n: int, seconds: float, attack: float = 0.001) -> Signal:
    """An envelope that rises in `attack` seconds and then falls by 1/e every `seconds`."""
    t = np.arange(n) / SAMPLE_RATE
    return np.asarray(np.minimum(t / attack, 1) * np.exp(-t / seconds))


def fade(n: int, attack: float = 0.02, release: float = 0.05) -> Signal:
    """An envelope of 1 with a raised-cosine fade at either end (seconds)."""
    t = np.arange(n) / SAMPLE_RATE
    rise = np.clip(t / attack, 0, 1)
    fall = np.clip((n / SAMPLE_RATE - t) / release, 0, 1)
    return np.asarray(0.25 * (1 - np.cos(np.pi * rise)) * (1 - np.cos(np.pi * fall)))


def wander(n: int, rng: np.random.Generator, hertz: float) -> Signal:
    """A smooth random curve in [0, 1] with about `hertz` turns a second."""
    knots = rng.uniform(0, 1, int(n / SAMPLE_RATE * hertz) + 3)
    position = np.arange(n) / SAMPLE_RATE * hertz
    whole = position.astype(int)
    part = (1 - np.cos(np.pi * (position - whole))) / 2
    return np.asarray(knots[whole] * (1 - part) + knots[whole + 1] * part)


def impulses(n: int, rng: np.random.Generator, per_second: float) -> Signal:
    """Impulses at random times, with random heights and signs; at least one."""
    out = np.zeros(n)
    count = max(1, int(rng.poisson(per_second * n / SAMPLE_RATE)))
    np.add.at(out, rng.integers(0, n, count), rng.exponential(1.0, count) * rng.choice([-1.0, 1.0], count))
    return out


def beats(n: int, rng: np.random.Generator, rate: float, jitter: float = 0.05) -> list[int]:
    """Start samples of events that come `rate` times a second, each shifted by up to `jitter` of the interval."""
    interval = SAMPLE_RATE / rate
    first = rng.uniform(0, 0.4) * min(interval, n / 2)
    starts = first + interval * np.arange(max(1, int(np.ceil((n - first) / interval))))
    starts = starts + interval * rng.uniform(-jitter, jitter, len(starts))
    return [int(start) for start in np.clip(starts, 0, n - 1)]


def place(n: int, starts: Iterable[int], grains: Iterable[Signal]) -> Signal:
    """The sum of `grains`, each at its start; what goes beyond `n` samples is cut."""
    out = np.zeros(n)
    for start, grain in zip(starts, grains, strict=False):
        end = min(n, start + len(grain))
        out[start:end] += grain[: end - start]
    return out


def reverberate(x: Signal, rng: np.random.Generator, seconds: float, wet: float) -> Signal:
    """`x` in a room: convolved with noise that falls by 60 dB in `seconds`; `wet` in [0, 1] is the share of it."""
    room = noise(samples(seconds), rng) * np.exp(-6.9 * np.linspace(0, 1, samples(seconds)))
    tail = signal.fftconvolve(x, room / np.sqrt(np.sum(room**2)))[: len(x)]
    return np.asarray((1 - wet) * x + wet * tail)


def loudest(x: Signal) -> float:
    """The greatest root mean square of any 50 ms: how loud a sound is at its loudest."""
    size = min(samples(0.05), len(x))
    frames = x[: len(x) // size * size].reshape(-1, size)
    return float(np.sqrt(np.mean(frames**2, axis=1)).max())
