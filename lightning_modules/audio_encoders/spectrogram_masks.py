"""SpecAugment: random stretches of time and ranges of bands of a spectrogram are hidden in training."""

from dataclasses import dataclass

import torch
from torch import Tensor

from common.errors import ModelError
from common.numbers import check_numbers


@dataclass(frozen=True)
class SpectrogramMasks:
    """How much of each spectrogram is hidden; sizes are shares of its length and bands, since encoders differ in both.

    What is hidden has the mean level of the clip (of the window, where an encoder cuts clips into windows). Draws are
    those of the step: from (seed, epoch, batch, rank).

    Args:
        time_masks: stretches of time.
        time_share: longest stretch, as a share of the spectrogram.
        frequency_masks: ranges of bands.
        frequency_share: widest range, as a share of the bands.

    Raises:
        ModelError: a number is out of range.

    Source: Park et al. 2019, "SpecAugment: a simple data augmentation method for automatic speech recognition", section
    2, without time warping.
    """

    time_masks: int = 2
    time_share: float = 0.1
    frequency_masks: int = 2
    frequency_share: float = 0.125

    def __post_init__(self) -> None:
        name = "model.spectrogram_masks"
        counts = {"time_masks": self.time_masks, "frequency_masks": self.frequency_masks}
        check_numbers(ModelError, name, 0, **counts)
        shares = {"time_share": self.time_share, "frequency_share": self.frequency_share}
        check_numbers(ModelError, name, 0, 1, **shares)

    def hide(self, spectrograms: Tensor, level: Tensor | float | None = None) -> Tensor:
        """Spectrograms (B, M, frames) with masks, drawn for each; `level` fills them, default: each one's mean."""
        level = spectrograms.mean((1, 2), keepdim=True) if level is None else level
        axes = ((2, self.time_masks, self.time_share), (1, self.frequency_masks, self.frequency_share))
        for axis, count, share in axes:
            for _ in range(count):
                spectrograms = hide_stretch(spectrograms, axis, round(share * spectrograms.shape[axis]), level)
        return spectrograms


def hide_stretch(spectrograms: Tensor, axis: int, widest: int, level: Tensor | float = 0.0) -> Tensor:
    """Hide one random stretch of 0 to `widest` entries of an axis, another one in each clip: `(B, M, frames)`.

    Args:
        spectrograms: as above.
        axis: 1 for bands, 2 for time.
        widest: entries at most.
        level: what stands there then, a number or (B, 1, 1).
    """
    size = spectrograms.shape[axis]
    width, start = torch.rand(2, len(spectrograms), 1, device=spectrograms.device)  # (B, 1) each
    width = (width * (min(widest, size) + 1)).floor()
    start = (start * (size - width + 1)).floor()
    positions = torch.arange(size, device=spectrograms.device)
    hidden = (positions >= start) & (positions < start + width)  # (B, size)
    hidden = hidden[:, None, :] if axis == 2 else hidden[:, :, None]
    return torch.where(hidden, torch.as_tensor(level, dtype=spectrograms.dtype, device=hidden.device), spectrograms)
