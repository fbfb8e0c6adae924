"""What every audio encoder is: a module that turns padded waveforms into one vector a clip."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from datamodules.batch import Batch
from lightning_modules.audio_encoders.spectrogram_masks import SpectrogramMasks
from lightning_modules.states import Encoded, ExpertSize
from lightning_modules.training.freezing import Freezable


class AudioEncoder(Freezable):
    """Base of all audio encoders.

    Attributes:
        sample_rate: samples a second that `forward` expects.
        dim: size of the embeddings.
        hop_seconds: time from frame to frame, where `forward` gives frames at a fixed rate.
        depends_on_batch: whether, against the rule, a clip's embedding depends on the others in its batch.
        reads_audio: whether it takes waveforms, so that what it gives is worth keeping on disk.
        longest: frames that it gives of a recording at most; None: not known.
        experts: sizes by name, where it gives vectors of several experts.
        has_spectrogram: whether it looks at a spectrogram, parts of which `masks` may hide in training.
        masks: how much of it; None: nothing.
    """

    sample_rate: int
    dim: int
    hop_seconds: float | None = None
    depends_on_batch: bool = False
    reads_audio: bool = True
    longest: int | None = None
    experts: Mapping[str, ExpertSize] = MappingProxyType({})
    has_spectrogram: bool = False
    masks: SpectrogramMasks | None = None

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """What `forward` takes of a batch's A recordings: tensors with A rows each."""
        return batch.waveforms, batch.lengths

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Encoded:
        """Embed clips; in eval mode the embedding of a clip does not depend on the others in the batch.

        Args:
            waveforms: `(B, T)` float32 mono at `sample_rate`; what lies beyond a clip's length is ignored.
            lengths: `(B,)` int64 samples of each clip, at most T.

        Returns:
            `(B, dim)`, not normalised, or the states of its frames; float32, or the autocast type.
        """
        raise NotImplementedError

    def masked(self, spectrograms: Tensor, time_axis: int, level: float | None = None) -> Tensor:
        """Spectrograms (B, M, frames) or (B, frames, M) with `masks`, in training; as they are where there are none."""
        if self.masks is None or not self.training:
            return spectrograms
        if time_axis == 2:
            return self.masks.hide(spectrograms, level)
        return self.masks.hide(spectrograms.transpose(1, 2), level).transpose(1, 2)


def silence_padding(waveforms: Tensor, lengths: Tensor) -> Tensor:
    """Set everything beyond a clip's length to zero: `(B, T)`, `(B,)` -> `(B, T)`.

    >>> silence_padding(torch.ones(2, 3), torch.tensor([1, 3])).tolist()
    [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    positions = torch.arange(waveforms.shape[1], device=waveforms.device)
    return waveforms.masked_fill(positions >= lengths[:, None], 0.0)
