"""Short-time spectra of whole frames alone, as the front ends of VGGish and of VGGSound's networks take them."""

import torch
from torch import Tensor


def framed_spectrum(waveforms: Tensor, window: Tensor, hop: int, n_fft: int, centred: bool = False) -> Tensor:
    """Spectrum of each frame that lies in the audio as a whole; nothing is padded at the ends.

    Args:
        waveforms: (B, T) float32, T at least one window.
        window: (W,) float32.
        hop: samples from frame to frame.
        n_fft: size of the transform, at least W.
        centred: whether a frame's mean is taken out first.

    Returns:
        (B, 1 + (T - W) // hop, n_fft // 2 + 1) complex64.
    """
    frames = waveforms.unfold(1, len(window), hop)  # (B, F, W)
    if centred:
        frames = frames - frames.mean(2, keepdim=True)
    spectrum: Tensor = torch.fft.rfft(frames * window, n_fft)
    return spectrum


def count_frames(samples: Tensor, window: int, hop: int) -> Tensor:
    """Frames of clips of so many samples, (B,) int64 -> (B,) int64; one at least.

    >>> count_frames(torch.tensor([10, 400, 560]), 400, 160).tolist()
    [1, 1, 2]
    """
    return (1 + (samples - window).div(hop, rounding_mode="floor")).clamp(min=1)
