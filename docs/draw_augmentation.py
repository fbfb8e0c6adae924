"""Draws docs/augmentation.png: `python docs/draw_augmentation.py`.

The spectrogram of a synthetic clip before and after each augmentation, as a training batch would have it.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image

from datamodules.augmentations import (
    Augmentation,
    BackgroundMix,
    Equaliser,
    Gain,
    Mixup,
    Source,
    WordDropout,
    augmented,
)
from datamodules.batch import Example
from datamodules.synthesis.clips import render_clip
from datamodules.synthesis.scenes import Event, Scene
from lightning_modules.audio_encoders.spectrogram_masks import SpectrogramMasks
from lightning_modules.audio_encoders.spectrograms import LogMel

RATE = 16_000
SECONDS = 4
MASKS = SpectrogramMasks(time_masks=2, time_share=0.2, frequency_masks=2, frequency_share=0.2)


def clip(kind: str, caption: str, number: int, *values: str) -> Example:
    """A recording of one event, cut or filled up to `SECONDS`, with a caption."""
    scene = Scene(((Event(kind, values),),))
    waveform = np.zeros(RATE * SECONDS, np.float32)
    sound = render_clip(scene, np.random.default_rng(number))[: len(waveform)]
    waveform[: len(sound)] = sound
    return Example(waveform, number, f"{kind}.wav", [caption], [number])


def main() -> None:
    """Two rows of four spectrograms, each with its caption."""
    first = clip("bird", "A bird sings nearby in the morning.", 1, "fast", "near")
    second = clip("siren", "A siren wails slowly.", 2, "slow", "near")
    source = Source(RATE, lambda rng: second)

    def after(*augmentations: Augmentation) -> Example:
        return augmented(first, augmentations, 0, 0, source)

    panels = [
        ("before", first),
        ("Gain", after(Gain(decibels=12))),
        ("Equaliser", after(Equaliser(decibels=18, share=1))),
        ("BackgroundMix, 10 dB below", after(BackgroundMix(10, 10, share=1))),
        ("the other recording", second),
        ("Mixup", after(Mixup(share=1))),
        ("WordDropout", after(WordDropout(words=0.4))),
    ]
    levels = [spectrogram(example) for _, example in panels]
    torch.manual_seed(6)
    levels.append(MASKS.hide(levels[0][None])[0])
    draw(
        Path(__file__).with_name("augmentation.png"),
        [title for title, _ in panels] + ["model.spectrogram_masks"],
        [*(example.captions[0] for _, example in panels), first.captions[0]],
        levels,
    )


def spectrogram(example: Example) -> torch.Tensor:
    """Log-mel levels (64, frames)."""
    levels: torch.Tensor = LogMel(RATE)(torch.from_numpy(example.waveform)[None])[0]
    return levels


def draw(path: Path, titles: Sequence[str], captions: Sequence[str], levels: Sequence[torch.Tensor]) -> None:
    """One panel for each; all have the same colours for the same levels."""
    figure, axes = plt.subplots(2, 4, figsize=(14, 5.6), layout="constrained")
    low, high = float(levels[0].quantile(0.05)) - 1, float(levels[0].max())
    for axis, title, caption, values in zip(axes.flat, titles, captions, levels, strict=True):
        axis.imshow(values.numpy(), origin="lower", aspect="auto", vmin=low, vmax=high, extent=(0, SECONDS, 0, 64))
        axis.set_title(title, fontsize=12)
        axis.set_xlabel(f"“{caption}”", fontsize=9)
        axis.set(xticks=range(SECONDS + 1), yticks=[])
        axis.tick_params(length=0, labelsize=8)
    for axis in axes[:, 0]:
        axis.set_ylabel("64 mel bands")
    figure.savefig(path, dpi=90)
    Image.open(path).quantize(64).save(path, optimize=True)  # a fifth of its size


if __name__ == "__main__":
    main()
