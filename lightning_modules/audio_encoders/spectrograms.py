"""Log-mel front ends on torch alone: the input of PaSST, and a plain one for small networks.

Both are always computed in float32, also under autocast: half precision costs PaSST's pre-emphasis 0.25 %.
"""

import math

import torch
from torch import Tensor, nn

from common.errors import ModelError
from common.numbers import check_numbers


def hertz_to_mel(hertz: float) -> float:
    """Kaldi's mel scale, 1127 ln(1 + f / 700).

    >>> round(hertz_to_mel(1000.0))
    1000
    """
    return 1127.0 * math.log1p(hertz / 700.0)


def fft_mels(n_fft: int, sample_rate: int) -> Tensor:
    """Mel value of every FFT bin from 0 Hz to the Nyquist frequency: `(n_fft // 2 + 1,)` float32."""
    hertz = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    return (1127.0 * torch.log1p(hertz / 700.0)).float()


def mel_bank(bin_mels: Tensor, n_mels: int, fmin: float, fmax: float) -> Tensor:
    """Kaldi's triangular mel filters: equally spaced on the mel scale and linear in it, unit peak, not normalised.

    Args:
        bin_mels: `(F,)` float32 mel value of each FFT bin (`fft_mels`); the filters are built on its device.
        n_mels: number of filters M.
        fmin: lower edge of the first filter in Hz.
        fmax: upper edge of the last filter in Hz, at most the Nyquist frequency.

    Returns:
        `(M, F)` float32.
    """
    edges = torch.linspace(
        hertz_to_mel(fmin), hertz_to_mel(fmax), n_mels + 2, dtype=bin_mels.dtype, device=bin_mels.device
    )
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]  # (M, 1)
    rising = (bin_mels - left) / (centre - left)  # (M, F)
    falling = (right - bin_mels) / (right - centre)
    return torch.minimum(rising, falling).clamp_(min=0)


def power_spectrogram(waveforms: Tensor, n_fft: int, hop: int, window: Tensor, pad_mode: str) -> Tensor:
    """|STFT|^2 of `(N, T)` with centred frames, one each `hop` samples: `(N, n_fft // 2 + 1, 1 + T // hop)`."""
    spectrum = torch.stft(
        waveforms, n_fft, hop, window.numel(), window=window, center=True, pad_mode=pad_mode, return_complex=True
    )
    return spectrum.real.square() + spectrum.imag.square()  # on a CPU eight times as fast as a sum over view_as_real


class PasstSpectrogram(nn.Module):
    """The log-mel spectrogram that PaSST was trained on (Koutini et al. 2022, arXiv 2110.05069), at 32 kHz.

    Pre-emphasis x[t] - 0.97 x[t-1], Hann window of 25 ms in an FFT of 1024, a frame each 10 ms, 128 Kaldi mels from
    0 to 15 kHz, log(x + 1e-5), then (x + 4.5) / 5.

    In training, the filters are jittered once a batch: their lower edge is drawn from the `fmin_jitter` whole numbers
    0, 1, ... Hz, their upper edge from the `fmax_jitter` whole numbers up to 15 kHz + fmax_jitter / 2. The draws come
    from torch's CPU generator, so that a seed repeats them. 0 switches a jitter off.

    Raises:
        ModelError: a jitter is negative, or would push the upper edge over the Nyquist frequency.
    """

    sample_rate, n_mels, n_fft, window_length, hop = 32_000, 128, 1024, 800, 320
    fmin, fmax = 0.0, 15_000.0

    window: Tensor
    bin_mels: Tensor
    bank: Tensor

    def __init__(self, fmin_jitter: int = 10, fmax_jitter: int = 2000):
        super().__init__()
        if fmin_jitter < 0 or not 0 <= fmax_jitter <= self.sample_rate - 2 * self.fmax:
            limit = int(self.sample_rate - 2 * self.fmax)
            raise ModelError(
                f"fmin_jitter {fmin_jitter}, fmax_jitter {fmax_jitter}: give whole Hz of at least 0, "
                f"and for fmax_jitter at most {limit} (the filters end at half the sample rate)"
            )
        self.fmin_jitter = fmin_jitter
        self.fmax_jitter = fmax_jitter
        self.register_buffer("window", torch.hann_window(self.window_length, periodic=False), persistent=False)
        self.register_buffer("bin_mels", fft_mels(self.n_fft, self.sample_rate), persistent=False)
        self.register_buffer("bank", mel_bank(self.bin_mels, self.n_mels, self.fmin, self.fmax), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """`(N, T)` float32 at 32 kHz with T > 513 samples -> `(N, 128, 1 + (T - 1) // 320)` float32."""
        with torch.autocast(waveforms.device.type, enabled=False):
            waveforms = waveforms.float()
            emphasised = waveforms[:, 1:] - 0.97 * waveforms[:, :-1]  # (N, T - 1)
            power = power_spectrogram(emphasised, self.n_fft, self.hop, self.window, pad_mode="reflect")
            mels = self._current_bank() @ power  # (N, 128, frames)
            return ((mels + 1e-5).log() + 4.5) / 5.0

    def _current_bank(self) -> Tensor:
        """The cached filters, or in training filters with freshly drawn edges: `(128, 513)`."""
        if not self.training or max(self.fmin_jitter, self.fmax_jitter) <= 1:  # a single whole number: nothing to draw
            return self.bank
        fmin = self.fmin + _draw_below(self.fmin_jitter)
        fmax = self.fmax + self.fmax_jitter // 2 - _draw_below(self.fmax_jitter)
        return mel_bank(self.bin_mels, self.n_mels, fmin, fmax)


def _draw_below(limit: int) -> int:
    """A whole number of 0 ... limit - 1 from torch's CPU generator; 0 where limit is 0."""
    return int(torch.randint(max(limit, 1), (1,)))


class LogMel(nn.Module):
    """A plain log-mel spectrogram: Hann window, Kaldi mels, log(x + 1e-6).

    Frames beyond the end of the audio see zeros, never a mirrored copy of it, so the frames of a clip do not change
    when silence is appended.

    Args:
        sample_rate: in Hz.
        n_mels: number of filters.
        hop: samples from frame to frame.
        n_fft: samples in a window (and in its FFT).
        fmin: lower edge of the filters in Hz.
        fmax: their upper edge in Hz; None is half the sample rate.

    Raises:
        ModelError: the edges of the filters do not lie in 0 <= fmin < fmax <= sample_rate / 2.
    """

    window: Tensor
    bank: Tensor

    def __init__(
        self,
        sample_rate: int = 16_000,
        n_mels: int = 64,
        hop: int = 320,
        n_fft: int = 512,
        fmin: float = 50.0,
        fmax: float | None = None,
    ):
        super().__init__()
        check_numbers(ModelError, "LogMel", 1, sample_rate=sample_rate, n_mels=n_mels, hop=hop, n_fft=n_fft)
        fmax = sample_rate / 2 if fmax is None else fmax
        if not 0 <= fmin < fmax <= sample_rate / 2:
            raise ModelError(
                f"fmin {fmin:g}, fmax {fmax:g}: mel filters need 0 <= fmin < fmax <= {sample_rate / 2:g} Hz, "
                "half the sample rate"
            )
        self.hop = hop
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("bank", mel_bank(fft_mels(n_fft, sample_rate), n_mels, fmin, fmax), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """`(N, T)` float32 -> `(N, n_mels, 1 + T // hop)` float32."""
        with torch.autocast(waveforms.device.type, enabled=False):
            power = power_spectrogram(waveforms.float(), self.n_fft, self.hop, self.window, pad_mode="constant")
            return (self.bank @ power + 1e-6).log()

    def frames(self, lengths: Tensor) -> Tensor:
        """Frames of clips of `lengths` samples, `(N,)` int64 -> `(N,)` int64."""
        return 1 + lengths // self.hop
