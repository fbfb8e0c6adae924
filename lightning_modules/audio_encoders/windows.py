"""Long clips as non-overlapping windows, for models that hear only a few seconds at once.

A clip's embedding is the mean over its windows (Xie et al. 2024: windows of 10 s), or each window's is handed on as a
state, for a pooling part. Only windows that exist are embedded, in one flat batch, so that no time is spent on padding.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from common.errors import ModelError
from lightning_modules.audio_encoders.base import silence_padding
from lightning_modules.states import Encoded, States

Windows = Literal["mean", "none"]
"""What becomes of a clip's windows: their mean, or each is a state."""
SHORTEST_TAIL = 0.016
"""A last window shorter than this part of a window is dropped: as a mean it would count as much as a full one."""


def random_stretches(waveforms: Tensor, lengths: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """A random stretch of each clip, so much of its length, at least a sample: `(B, T)`, `(B,)` -> the same of it."""
    kept = (lengths * share).long().clamp(min=1)
    starts = (torch.rand(len(lengths), device=lengths.device) * (lengths - kept + 1)).long()
    places = starts[:, None] + torch.arange(int(kept.max()), device=lengths.device)  # (B, longest)
    return waveforms.gather(1, places.clamp(max=waveforms.shape[1] - 1)), kept


def count_windows(lengths: Tensor, window: int) -> Tensor:
    """Windows of each clip, at least one: `(B,)` int64 samples -> `(B,)` int64.

    >>> count_windows(torch.tensor([0, 400, 1000, 1010, 1100]), window=1000).tolist()
    [1, 1, 1, 1, 2]
    """
    shortest_tail = round(SHORTEST_TAIL * window)
    return ((lengths - shortest_tail).clamp(min=1) + window - 1) // window


def cut_windows(
    waveforms: Tensor, lengths: Tensor, window: int, keep_padding: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut clips into windows of `window` samples; the last one of a clip is filled up with zeros.

    Args:
        waveforms: `(B, T)` float32.
        lengths: `(B,)` int64 samples of each clip.
        window: samples in a window.
        keep_padding: also hand out the windows that hold only padding, up to T.

    Returns:
        windows `(N, window)` float32, clip after clip; the samples of audio in each, `(N,)` int64; and which windows of
        which clip they are, `(B, W)` bool with N true entries.
    """
    counts = count_windows(lengths, window)
    if keep_padding:
        counts = count_windows(torch.full_like(lengths, waveforms.shape[1]), window)
    most = int(counts.max())
    waveforms = silence_padding(waveforms, lengths)[:, : most * window]
    waveforms = F.pad(waveforms, (0, most * window - waveforms.shape[1]))
    starts = torch.arange(most, device=lengths.device)
    present = starts < counts[:, None]  # (B, W)
    samples = (lengths[:, None] - starts * window).clamp(0, window)  # (B, W)
    return waveforms.reshape(len(lengths), most, window)[present], samples[present], present


def average_windows(embeddings: Tensor, present: Tensor) -> Tensor:
    """Mean over the windows of each clip: `(N, D)` and `present` of `cut_windows` -> `(B, D)`."""
    values, counts = window_states(embeddings, present)
    return values.sum(1) / counts[:, None]


def window_states(embeddings: Tensor, present: Tensor) -> States:
    """The windows of each clip as its states: `(N, D)` and `present` of `cut_windows` -> `(B, W, D)`.

    >>> window_states(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[True, False], [True, True]])).values.tolist()
    [[[1.0], [0.0]], [[2.0], [3.0]]]
    """
    per_clip = embeddings.new_zeros(*present.shape, embeddings.shape[1])  # (B, W, D)
    per_clip[present] = embeddings
    return States(per_clip, present.sum(1))


def pool_windows(embeddings: Tensor, present: Tensor, windows: Windows) -> Encoded:
    """`average_windows` or `window_states`."""
    return window_states(embeddings, present) if windows == "none" else average_windows(embeddings, present)


def check_windows(owner: str, windows: str) -> None:
    """Refuse another value of the option.

    Raises:
        ModelError: it is none of `Windows`.
    """
    if windows not in get_args(Windows):
        raise ModelError(f"{owner}: windows is '{windows}': give one of {', '.join(get_args(Windows))}")


def join_windows(frames: Tensor, counts: Tensor, present: Tensor) -> States:
    """Frames of each clip, window after window, without the padding between them.

    Args:
        frames: `(N, L, D)` of the windows.
        counts: `(N,)` int64, how many of a window's frames hold audio, from 1.
        present: of `cut_windows`, `(B, W)`.
    """
    held = torch.arange(frames.shape[1], device=frames.device) < counts[:, None]  # (N, L)
    clips = present.nonzero()[:, 0]  # (N,)
    lengths = counts.new_zeros(len(present)).index_add(0, clips, counts)  # (B,)
    joined = frames[held].split(lengths.tolist())  # windows stand clip after clip
    return States(torch.nn.utils.rnn.pad_sequence(list(joined), batch_first=True), lengths)  # (B, most, D)
