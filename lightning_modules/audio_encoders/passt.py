"""PaSST as an audio encoder: front end, 10 s windows, transformer."""

from typing import Self

import torch
from torch import Tensor

from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.audio_encoders.passt_checkpoint import load_passt
from lightning_modules.audio_encoders.passt_transformer import COLUMNS, PATCH, PasstTransformer
from lightning_modules.audio_encoders.spectrograms import PasstSpectrogram
from lightning_modules.audio_encoders.windows import Windows, check_windows, cut_windows, pool_windows
from lightning_modules.states import Encoded
from lightning_modules.training.lora import LoRA


class PaSST(AudioEncoder):
    """The Patchout Spectrogram Transformer `passt_s_p16_s16_128_ap468` (Koutini et al. 2022, arXiv 2110.05069).

    The audio encoder of Xie et al. 2024, whose values are the defaults. An embedding is the mean of the class and the
    distillation token, averaged over the clip's non-overlapping 10 s windows. The last window of a clip, or its only
    one, is filled up with zeros to 10 s; one of up to 0.16 s (a column of patches) is dropped if the clip has others.

    Args:
        checkpoint: weights, .pt or .safetensors: a local file, or what `find_weights` fetches at first use. Those
            trained on AudioSet are `github:kkoutini/PaSST/v0.0.2-audioset/passt-s-f128-p16-s16-ap.468.pt`, which is
            the default of `train.py`. null leaves the weights random.
        dim: size of tokens and embeddings.
        depth: transformer blocks.
        heads: attention heads.
        patchout_time: columns of patches left out in training, of 62.
        patchout_frequency: rows of patches left out in training, of 8.
        fmin_jitter: range in Hz of the lower edge of the mel filters in training.
        fmax_jitter: range in Hz of their upper edge in training.
        mask_padding: fill windows up to the next 0.16 s only, in place of 10 s: the columns of patches that hold only
            padding are hidden from attention, and not computed where no window of the batch needs them. Much cheaper
            for short clips; the paper's own program fills up to 10 s.
        average_padding_windows: also average the windows that hold only padding, up to the end of the padded batch, as
            the paper's program does (it pads every clip to 30 s). Embeddings then depend on the length of the batch.
        checkpoint_blocks: recompute activations in the backward pass: less memory, a third more time.
        trained_layers: how many of the last blocks are trained, with the final norm; null trains all, 0 none. Patchout
            and jitter change what the trained blocks see, so they stay on as long as there is one; with 0 both are off.
        lora: train low-rank adapters of the attention's joint layer `qkv` (or others) in place of the model's own
            weights, which come from `checkpoint` first.
        windows: "mean" averages a clip's windows, "none" gives them as they are, states for `model.audio_pooling`.

    Raises:
        ModelError: the checkpoint cannot be used, or an argument is out of range.
    """

    sample_rate = PasstSpectrogram.sample_rate
    window = 10 * sample_rate
    has_spectrogram = True

    def __init__(
        self,
        checkpoint: str | None = None,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        patchout_time: int = 15,
        patchout_frequency: int = 2,
        fmin_jitter: int = 10,
        fmax_jitter: int = 2000,
        mask_padding: bool = False,
        average_padding_windows: bool = False,
        checkpoint_blocks: bool = False,
        trained_layers: int | None = None,
        lora: LoRA | None = None,
        windows: Windows = "mean",
    ):
        super().__init__()
        check_windows("PaSST", windows)
        self.windows: Windows = windows
        self.hop_seconds = 10.0 if windows == "none" else None
        self.dim = dim
        self.mask_padding = mask_padding
        self.average_padding_windows = self.depends_on_batch = average_padding_windows
        self.spectrogram = PasstSpectrogram(fmin_jitter, fmax_jitter)
        self.network = PasstTransformer(dim, depth, heads, patchout_time, patchout_frequency, checkpoint_blocks)
        if checkpoint is not None:
            load_passt(self.network, checkpoint)
            self.source = checkpoint
        patch = torch.zeros(1, PasstSpectrogram.n_mels, PATCH)
        self.choose_trained(self.network, depth, trained_layers, lora, lambda: self.network(patch))

    def train(self, mode: bool = True) -> Self:
        """Switch training mode on or off, but never on in frozen blocks; patchout stays on while any is trained."""
        super().train(mode)
        self.network.training = mode and not self.is_frozen
        return self

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Encoded:
        """`(B, T)` float32 at 32 kHz, `(B,)` int64 -> `(B, dim)`, or windows `(B, W, dim)` with their number."""
        windows, samples, present = cut_windows(waveforms, lengths, self.window, self.average_padding_windows)
        spectrograms = self.masked(self.spectrogram(windows), 2)  # (N, 128, 1000)
        if self.mask_padding:
            columns = audible_columns(samples)  # (N,)
            fewest, most = int(columns.min()), int(columns.max())
            spectrograms = spectrograms[..., : PATCH * most]
            embeddings = self.network(spectrograms, columns if fewest < most else None)
        else:
            embeddings = self.network(spectrograms)  # (N, dim)
        return pool_windows(embeddings, present, self.windows)


def audible_columns(samples: Tensor) -> Tensor:
    """Columns of patches that hold audio, of windows with so many samples of it: `(N,)` int64 -> `(N,)` int64.

    >>> import torch
    >>> audible_columns(torch.tensor([0, 5120, 5121, 320_000])).tolist()
    [1, 1, 2, 62]
    """
    samples_per_column = PATCH * PasstSpectrogram.hop
    return ((samples + samples_per_column - 1) // samples_per_column).clamp(1, COLUMNS)
