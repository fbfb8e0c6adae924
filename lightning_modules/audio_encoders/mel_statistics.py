"""Statistics of a log-mel spectrogram: frames without anything learned."""

import torch
import torch.nn.functional as F
from torch import Tensor

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.audio_encoders.base import AudioEncoder, silence_padding
from lightning_modules.audio_encoders.spectrograms import LogMel
from lightning_modules.states import States


class MelStatistics(AudioEncoder):
    """Mean and standard deviation of each log-mel band over windows that do not overlap: frames (B, T, 2 n_mels).

    A weak expert that needs no weights and no download. A last window that is not full counts with what it holds.

    Args:
        n_mels: mel bands.
        window: spectrogram frames a window; 48 of 320 samples at 16 kHz are 0.96 s.
        sample_rate: in Hz.
        hop: samples from spectrogram frame to frame.

    Raises:
        ModelError: numbers out of range.
    """

    has_spectrogram = True

    def __init__(self, n_mels: int = 64, window: int = 48, sample_rate: int = 16_000, hop: int = 320) -> None:
        super().__init__()
        check_numbers(ModelError, "MelStatistics", 1, window=window)
        self.spectrogram = LogMel(sample_rate, n_mels, hop)
        self.dim, self.window, self.sample_rate = 2 * n_mels, window, sample_rate
        self.hop_seconds = window * hop / sample_rate

    def forward(self, waveforms: Tensor, lengths: Tensor) -> States:
        """`(B, T)` float32, `(B,)` int64 -> frames `(B, F, dim)` float32, and how many each clip has."""
        levels = self.masked(self.spectrogram(silence_padding(waveforms, lengths)), 2)  # (B, M, frames)
        frames = self.spectrogram.frames(lengths)  # (B,)
        levels = F.pad(levels, (0, -levels.shape[2] % self.window))
        here = torch.arange(levels.shape[2], device=lengths.device) < frames[:, None]  # (B, frames)
        levels = levels.unflatten(2, (-1, self.window))  # (B, M, F, window)
        here = here.unflatten(1, (-1, self.window))[:, None]  # (B, 1, F, window)
        count = here.sum(3).clamp_min(1)  # (B, 1, F)
        mean = (levels * here).sum(3) / count
        variance = ((levels - mean[..., None]).square() * here).sum(3) / count
        values = torch.cat([mean, variance.sqrt()], dim=1).transpose(1, 2)  # (B, F, 2 M)
        return States(values, (frames + self.window - 1).div(self.window, rounding_mode="floor"))
