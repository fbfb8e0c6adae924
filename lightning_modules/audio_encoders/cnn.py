"""A small convolutional network that learns from scratch in minutes on two CPU cores."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.audio_encoders.base import AudioEncoder, silence_padding
from lightning_modules.audio_encoders.published import load_published
from lightning_modules.audio_encoders.spectrogram_masks import hide_stretch
from lightning_modules.audio_encoders.spectrograms import LogMel
from lightning_modules.states import States

STEP = 4
"""Spectrogram frames that become one of the features."""
PREFIX = "audio_encoder."
"""What the names of an audio encoder's weights begin with in the checkpoint of a run."""


class SmallCNN(AudioEncoder):
    """Three convolutions over a log-mel spectrogram, then mean and maximum over time.

    Pitch matters in captions ("a low hum"), so bands are not averaged: channels and bands are flattened together
    before time is pooled. Levels are standardised a mel band, over the audio seen in training. Padding is masked after
    every layer, so that in eval mode an embedding does not depend on how far a clip was padded.

    The resolution halves in time and frequency at the first and the second convolution, and in frequency at the third.

    Args:
        dim: size of the embeddings.
        width: channels of the first convolution; the next have two and four times as many.
        sample_rate: in Hz.
        n_mels: mel bands, a multiple of 8.
        hop: samples from frame to frame.
        n_fft: samples in a window.
        time_masks: stretches of time hidden in each clip in training (SpecAugment, Park et al. 2019, arXiv 1904.08779).
        time_mask_frames: longest such stretch, in frames.
        frequency_masks: ranges of mel bands hidden in each clip in training.
        frequency_mask_bands: widest such range.
        dropout: of the pooled features in training.
        pooling: "mean_max" gives one vector of a clip, "none" its features as they are, frames of `dim` numbers.
        checkpoint: weights, of a run that trained this encoder (`best.ckpt`); None begins with random ones.

    Raises:
        ModelError: `n_mels` is not a multiple of 8, a number is out of range, or the checkpoint cannot be used.
    """

    has_spectrogram = True

    def __init__(
        self,
        dim: int = 256,
        width: int = 16,
        sample_rate: int = 16_000,
        n_mels: int = 64,
        hop: int = 320,
        n_fft: int = 512,
        time_masks: int = 0,
        time_mask_frames: int = 20,
        frequency_masks: int = 0,
        frequency_mask_bands: int = 8,
        dropout: float = 0.0,
        pooling: Literal["mean_max", "none"] = "mean_max",
        checkpoint: str | None = None,
    ):
        super().__init__()
        check_numbers(ModelError, "SmallCNN", 1, dim=dim, width=width, n_mels=n_mels)
        masks = {"time_masks": time_masks, "time_mask_frames": time_mask_frames}
        bands = {"frequency_masks": frequency_masks, "frequency_mask_bands": frequency_mask_bands}
        check_numbers(ModelError, "SmallCNN", 0, **masks, **bands)
        check_numbers(ModelError, "SmallCNN", 0, 1, dropout=dropout)
        if n_mels % 8:
            raise ModelError(
                f"n_mels {n_mels} is not a multiple of 8: the layers halve the number of bands three times"
            )
        if pooling not in ("mean_max", "none"):
            raise ModelError(f"SmallCNN: pooling is '{pooling}': give mean_max or none")
        self.dim = dim
        self.sample_rate = sample_rate
        self.pooling = pooling
        self.hop_seconds = STEP * hop / sample_rate if pooling == "none" else None
        self.time_masks = (time_masks, time_mask_frames)
        self.frequency_masks = (frequency_masks, frequency_mask_bands)
        self.spectrogram = LogMel(sample_rate, n_mels, hop, n_fft)
        self.standardise = nn.BatchNorm1d(n_mels)
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(*_conv(1, width, kernel=5, stride=2)),
                nn.Sequential(nn.AvgPool2d(2), *_conv(width, 2 * width)),
                nn.Sequential(nn.AvgPool2d((2, 1)), *_conv(2 * width, 4 * width)),
            ]
        )
        self.mix = nn.Sequential(nn.Conv1d(4 * width * (n_mels // 8), dim, 1, bias=False), nn.BatchNorm1d(dim))
        self.project = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * dim, dim))
        if checkpoint is not None:
            load_published(self, checkpoint, _own_name, "this SmallCNN", "best.ckpt of a run with the same sizes")

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor | States:
        """`(B, T)` float32, `(B,)` int64 -> `(B, dim)`, or frames `(B, steps, dim)` with their lengths."""
        spectrograms = self.spectrogram(silence_padding(waveforms, lengths))  # (B, M, frames)
        frames = self.spectrogram.frames(lengths)
        spectrograms = F.pad(spectrograms, (0, -spectrograms.shape[2] % STEP))  # whole steps of the last layer
        mask = torch.arange(spectrograms.shape[2], device=frames.device) < frames[:, None]  # (B, frames)
        maps = self._hide(normed_frames(self.standardise, spectrograms, mask))[:, None]  # (B, 1, M, frames)
        for block in self.blocks:
            maps = block(maps)
            mask = mask[:, :: mask.shape[1] // maps.shape[3]]  # a step holds audio if its first frame does
            maps = maps * mask[:, None, None]
        features = F.relu(self.mix(maps.flatten(1, 2))) * mask[:, None]  # (B, dim, steps), none below 0
        if self.pooling == "none":
            return States(features.transpose(1, 2), mask.sum(1))
        mean = features.sum(2) / mask.sum(1, keepdim=True)
        embeddings: Tensor = self.project(torch.cat([mean, features.amax(2)], 1))
        return embeddings

    def _hide(self, spectrograms: Tensor) -> Tensor:
        """Put random stretches of time and ranges of bands to the mean level, 0, in training: its own, and `masks`."""
        if self.training:
            for axis, (count, widest) in ((2, self.time_masks), (1, self.frequency_masks)):
                for _ in range(count):
                    spectrograms = hide_stretch(spectrograms, axis, widest)
        return self.masked(spectrograms, 2, level=0.0)


def normed_frames(norm: nn.BatchNorm1d, spectrograms: Tensor, mask: Tensor) -> Tensor:
    """Batch normalisation of each band over the frames that hold audio; the others become 0.

    `(B, M, frames)`, `(B, frames)` bool -> `(B, M, frames)`. No module of its own: `trainer.sync_batchnorm` puts
    another class in place of a batch normalisation, and with it another `forward`.
    """
    frames = spectrograms.transpose(1, 2)  # (B, frames, M)
    normed = torch.zeros_like(frames)
    normed[mask] = norm(frames[mask]).to(normed.dtype)
    return normed.transpose(1, 2)


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _own_name(name: str) -> str | None:
    """A run's checkpoint also holds the other parts of the model."""
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else None
