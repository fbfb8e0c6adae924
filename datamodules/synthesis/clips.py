"""From a scene to the samples of a clip: events in their places, near or distant, over a background."""

from itertools import pairwise

import numpy as np

from datamodules.synthesis.events import synthesise
from datamodules.synthesis.scenes import Event, Scene
from datamodules.synthesis.signals import Signal, fade, loudest, lowpass, noise, reverberate, samples

#: Seconds a clip lasts, by its number of steps.
SECONDS: dict[int, tuple[float, float]] = {1: (3.0, 4.5), 2: (3.6, 5.4), 3: (4.8, 6.0)}

_LEVEL = 0.12  # loudest 50 ms of a loud near event: -18 dB below full scale
_PEAK = 0.95


def render_clip(scene: Scene, rng: np.random.Generator) -> Signal:
    """The sound of a scene; each call draws other instances, timings, background and gain.

    Args:
        scene: What sounds, and in what order.
        rng: Where all chance comes from: the same state gives the same samples.

    Returns:
        `(n,)` float64 mono at `SAMPLE_RATE`, within [-0.95, 0.95], 3 to 6 s long.
    """
    n = samples(rng.uniform(*SECONDS[len(scene.steps)]))
    out = background(n, rng)
    shares = rng.uniform(0.85, 1.15, len(scene.steps))
    edges = np.concatenate([[0], np.cumsum(shares) / shares.sum()]) * n
    for (start, end), step in zip(pairwise(edges), scene.steps, strict=True):
        for event in step:
            late = int(start + rng.uniform(0, 0.12) * (end - start))
            out[late : int(end)] += place(event, int(end) - late, rng)
    out *= 10 ** (rng.uniform(-4, 2) / 20)
    return np.asarray(out * min(1.0, _PEAK / np.abs(out).max()))


def background(n: int, rng: np.random.Generator) -> Signal:
    """The hum of the place: `(n,)` noise of some colour, 26 to 40 dB below a loud near event."""
    x = noise(n, rng, rng.uniform(0.6, 1.8))
    return np.asarray(x / loudest(x) * _LEVEL * 10 ** (rng.uniform(-40, -26) / 20))


def place(event: Event, n: int, rng: np.random.Generator) -> Signal:
    """`(n,)` samples of the event, as loud and as far away as its attributes say: at least 4 dB over the background."""
    x = synthesise(event, n, rng)
    decibels = rng.uniform(-2, 2)
    if event.attributes.get("distance") == "distant":
        x = reverberate(lowpass(x, rng.uniform(900, 1600), order=1), rng, rng.uniform(0.8, 1.4), rng.uniform(0.5, 0.7))
        decibels -= 8
    if event.attributes.get("level") == "soft":
        decibels -= 12
    return np.asarray(x * fade(n, 0.01, 0.08) / (loudest(x) + 1e-9) * _LEVEL * 10 ** (decibels / 20))


def to_pcm16(x: Signal) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Samples in [-1, 1] as `(n,)` int16."""
    return np.round(x * 32767).astype(np.int16)
