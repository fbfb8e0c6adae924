"""LAION-CLAP: both towers of transformers' `ClapModel`."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ClapModel

from common.errors import ModelError
from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.audio_encoders.decibel_mels import DecibelMels, Padding, fill_up, mels_of
from lightning_modules.audio_encoders.windows import average_windows, cut_windows
from lightning_modules.pairs.base import TokenizedText
from lightning_modules.pairs.hub_pair import HubPair


class WindowedAudio(AudioEncoder):
    """A tower that hears windows of one length: the mean of the unit vectors of a clip's windows.

    The last window is filled up as the model's authors do. Nothing is drawn at random.

    Args:
        mels: front end, `(N, T)` waveforms to `(N, frames, M)`.
        sample_rate: in Hz.
        window: samples in a window.
        padding: how a short window is filled up.
        dim: size of the vectors.
    """

    has_spectrogram = True

    def __init__(self, mels: DecibelMels, sample_rate: int, window: int, padding: Padding, dim: int) -> None:
        super().__init__()
        self.mels, self.sample_rate, self.window, self.dim = mels, sample_rate, window, dim
        self.padding: Padding = padding

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """`(B, T)` float32 at `sample_rate`, `(B,)` int64 -> `(B, dim)`, no longer than 1."""
        windows, samples, present = cut_windows(waveforms, lengths, self.window)
        vectors = F.normalize(self.embed(self.masked(self.mels(fill_up(windows, samples, self.padding)), 1)), dim=1)
        return average_windows(vectors, present)

    def embed(self, mels: Tensor) -> Tensor:
        """Vectors (N, dim) of log-mels (N, frames, M)."""
        raise NotImplementedError


class ClapAudio(WindowedAudio):
    """Audio tower and projection of a `ClapModel`.

    Of a `fusion` checkpoint the branch for long clips is not used: every window is a short clip. (Its feature extractor
    calls one clip of a batch long at random, and takes crops at random.)
    """

    def __init__(self, whole: Any, extractor: Any, window: int) -> None:
        rate, dim = int(extractor.sampling_rate), int(whole.config.projection_dim)
        super().__init__(mels_of(extractor), rate, window, extractor.padding, dim)
        self.views = 4 if extractor.truncation == "fusion" else 1
        self.model, self.projection = whole.audio_model, whole.audio_projection

    def embed(self, mels: Tensor) -> Tensor:
        """Like `WindowedAudio.embed`."""
        inputs = mels[:, None].expand(-1, self.views, -1, -1)  # (N, views, frames, M)
        is_longer = torch.zeros(len(mels), 1, dtype=torch.bool, device=mels.device)
        output: Tensor = self.projection(self.model(input_features=inputs, is_longer=is_longer).pooler_output)
        return output


class ClapText(TokenizedText):
    """Text tower and projection of a `ClapModel`."""

    def __init__(self, whole: Any, tokenizer: Any, max_tokens: int) -> None:
        super().__init__(whole.text_model, tokenizer, max_tokens, int(whole.config.projection_dim))
        self.projection: nn.Module = whole.text_projection

    def embed(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Like `TokenizedText.embed`; unit vectors."""
        pooled = self.model(input_ids=input_ids, attention_mask=attention_mask).pooler_output
        return F.normalize(self.projection(pooled), dim=1)


class ClapPair(HubPair):
    """LAION-CLAP by hub name or local folder, such as "laion/clap-htsat-unfused".

    Its embeddings are those of `ClapModel.get_audio_features` and `get_text_features`. A recording longer than a
    window (10 s) is embedded as the mean over its windows. The two temperatures of a checkpoint count as one, that of
    text to audio.

    Args:
        window_seconds: length of a window; default: what the checkpoint hears at once.
        name, **kwargs: as of `HubPair`.

    Raises:
        ModelError: as of `HubPair`.

    Source: Wu et al. 2023, "Large-scale contrastive language-audio pretraining with feature fusion and
    keyword-to-caption augmentation".
    """

    kind = ClapModel

    def __init__(self, name: str, window_seconds: float | None = None, **kwargs: Any) -> None:
        self.window_seconds = window_seconds
        super().__init__(name, **kwargs)

    def make_towers(self, max_tokens: int) -> None:
        """CLAP's towers, and its temperature."""
        whole, tokenizer, extractor = self.source
        longest = int(extractor.nb_max_samples)
        seconds = self.window_seconds
        window = longest if seconds is None else round(seconds * extractor.sampling_rate)
        if not 0 < window <= longest:
            raise ModelError(
                f"model.pair: window_seconds is {seconds}: '{self.name}' takes more than 0 and at most "
                f"{longest / extractor.sampling_rate:g} s; leave it out for the default"
            )
        self.audio, self.text = ClapAudio(whole, extractor, window), ClapText(whole, tokenizer, max_tokens)
        self.tau = 1 / whole.logit_scale_t.exp().item()
