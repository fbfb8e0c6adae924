"""Inputs of CLAP's and AST's models for whole batches, on the device; their feature extractors make them one by one."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ASTFeatureExtractor, ClapFeatureExtractor
from transformers.audio_utils import mel_filter_bank

from lightning_modules.audio_encoders.decibel_mels import AT_ONCE, fill_up, mels_of


def device_features(extractor: Any) -> "ClapFeatures | ASTFeatures | None":
    """The same as a feature extractor, to 1e-4, for batches on any device; None for other extractors."""
    if isinstance(extractor, ClapFeatureExtractor):
        return ClapFeatures(extractor)
    return ASTFeatures(extractor) if isinstance(extractor, ASTFeatureExtractor) else None


class ClapFeatures(nn.Module):
    """CLAP's log-mels; no window is a long clip, and nothing is cropped at random."""

    def __init__(self, extractor: ClapFeatureExtractor) -> None:
        super().__init__()
        self.mels = mels_of(extractor)
        self.padding: Any = extractor.padding
        self.views = 4 if extractor.truncation == "fusion" else 1

    def forward(self, windows: Tensor, samples: Tensor) -> dict[str, Tensor]:
        """Windows (N, T) with so many samples (N,)."""
        mels = self.mels(fill_up(windows, samples, self.padding))  # (N, frames, M)
        is_longer = torch.zeros(len(mels), 1, dtype=torch.bool, device=mels.device)
        return {"input_features": mels[:, None].expand(-1, self.views, -1, -1), "is_longer": is_longer}


class ASTFeatures(nn.Module):
    """Kaldi's log-mel filter bank of 25 ms frames every 10 ms, normalised; frames beyond the audio are zero before."""

    bank: Tensor

    def __init__(self, extractor: ASTFeatureExtractor) -> None:
        super().__init__()
        self.frames, self.normalises = extractor.max_length, extractor.do_normalize
        self.mean, self.std = extractor.mean, extractor.std
        rate = extractor.sampling_rate
        bank = mel_filter_bank(
            257, extractor.num_mel_bins, 20, rate // 2, rate, mel_scale="kaldi", triangularize_in_mel_space=True
        )  # (F, M)
        self.register_buffer("bank", torch.tensor(bank, dtype=torch.float32), persistent=False)

    @torch.no_grad()
    def forward(self, windows: Tensor, samples: Tensor) -> dict[str, Tensor]:
        """Windows (N, T) with so many samples (N,)."""
        with torch.autocast(windows.device.type, enabled=False):
            mels = torch.cat([self._mels(part) for part in windows.split(AT_ONCE)])  # (N, frames, M)
        held = 1 + (samples - 400).div(160, rounding_mode="floor")
        beyond = torch.arange(mels.shape[1], device=mels.device) >= held[:, None]
        mels = F.pad(mels.masked_fill(beyond[:, :, None], 0.0), (0, 0, 0, max(self.frames - mels.shape[1], 0)))
        mels = mels[:, : self.frames]
        return {"input_values": (mels - self.mean) / (2 * self.std) if self.normalises else mels}

    def _mels(self, windows: Tensor) -> Tensor:
        precise = torch.float32 if windows.device.type == "mps" else torch.float64
        frames = F.pad(windows, (0, max(400 - windows.shape[1], 0))).unfold(1, 400, 160).to(precise)
        frames = frames - frames.mean(2, keepdim=True)
        emphasised = torch.cat([frames[..., :1] * 0.03, frames[..., 1:] - 0.97 * frames[..., :-1]], dim=2)
        window = torch.hann_window(400, periodic=False, dtype=precise, device=windows.device)
        spectrum = torch.fft.rfft(emphasised * window, 512)  # (N, frames, F)
        power = spectrum.real.square() + spectrum.imag.square()
        mels: Tensor = power @ self.bank.to(precise)
        return mels.clamp_min(torch.finfo(torch.float32).eps).log().float()
