"""The log-mel spectrogram of CLAP models in dB, computed for whole batches on the model's device."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import ClapFeatureExtractor
from transformers.audio_utils import mel_filter_bank

Padding = Literal["repeatpad", "repeat", "pad"]

AT_ONCE = 16
"""Windows that are transformed together: in float64 a window of 10 s takes 13 MB."""


def fill_up(windows: Tensor, samples: Tensor, padding: Padding = "repeatpad") -> Tensor:
    """Windows (N, T) whose audio ends after `samples` (N,), filled up to their end.

    "repeatpad" repeats the audio as often as it fits in whole, then zeros; "repeat" repeats it to the end; "pad" adds
    zeros alone (the three of `ClapFeatureExtractor`).

    >>> fill_up(torch.tensor([[1.0, 2.0, 0.0, 0.0, 0.0]]), torch.tensor([2]))
    tensor([[1., 2., 1., 2., 0.]])
    """
    size = windows.shape[1]
    samples = samples.clamp(min=1)[:, None]
    positions = torch.arange(size, device=windows.device).expand(len(windows), size)
    filled = windows.gather(1, positions % samples)
    if padding == "repeat":
        return filled
    end = samples if padding == "pad" else size // samples * samples
    return filled.masked_fill(positions >= end, 0.0)


class DecibelMels(nn.Module):
    """Hann window, power spectrum, mel filters, 10 log10(max(x, 1e-10)).

    Equal to `ClapFeatureExtractor`'s to 1e-4: it is computed in float64 (where the device has it), as there.

    Args:
        bank: mel filters (F, M), from `mel_filter_bank`.
        n_fft: samples in a window and its FFT.
        hop: samples from frame to frame.
        persistent: keep the filters with the weights: those of a converted checkpoint are its own.
    """

    bank: Tensor

    def __init__(self, bank: npt.NDArray[np.float64], n_fft: int, hop: int, persistent: bool = False) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("bank", torch.tensor(bank, dtype=torch.float32), persistent=persistent)

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Tensor:
        """`(N, T)` float32 -> `(N, 1 + T // hop, M)` float32, in dB."""
        with torch.autocast(waveforms.device.type, enabled=False):
            return torch.cat([self._decibels(part) for part in waveforms.split(AT_ONCE)])

    def _decibels(self, waveforms: Tensor) -> Tensor:
        precise = torch.float32 if waveforms.device.type == "mps" else torch.float64
        window = torch.hann_window(self.n_fft, dtype=precise, device=waveforms.device)
        spectrum = torch.stft(
            waveforms.to(precise), self.n_fft, self.hop, window=window, pad_mode="reflect", return_complex=True
        )  # (N, F, frames)
        power = spectrum.real.square() + spectrum.imag.square()
        mels = power.transpose(1, 2) @ self.bank.to(precise)  # (N, frames, M)
        return (10.0 * mels.clamp_min(1e-10).log10()).float()


def mels_of(extractor: ClapFeatureExtractor) -> DecibelMels:
    """The front end of a CLAP checkpoint: `rand_trunc` has slaney mels, `fusion` HTK mels."""
    bank = extractor.mel_filters if extractor.truncation == "fusion" else extractor.mel_filters_slaney
    return DecibelMels(bank, extractor.fft_window_size, extractor.hop_length)


def slaney_mels(sample_rate: int, n_fft: int, hop: int, n_mels: int, fmin: float, fmax: float) -> DecibelMels:
    """The front end of PANNs, MS-CLAP and WavCaps (librosa's mels)."""
    bank = mel_filter_bank(n_fft // 2 + 1, n_mels, fmin, fmax, sample_rate, norm="slaney", mel_scale="slaney")
    return DecibelMels(bank, n_fft, hop, persistent=True)
