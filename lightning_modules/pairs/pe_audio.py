"""PE-Audio (Perception Encoder): both towers of transformers' `PeAudioModel`."""

from typing import Any

import torch
from torch import Tensor
from transformers import PeAudioModel

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.architectures import in_groups
from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.audio_encoders.windows import average_windows, cut_windows
from lightning_modules.matchers import Projected
from lightning_modules.pairs.base import TokenizedText
from lightning_modules.pairs.hub_pair import HubPair


def reflect_to(waveforms: Tensor, samples: int, size: int) -> Tensor:
    """The first `samples` of waveforms (N, T), reflected at their end until there are `size`: (N, size).

    >>> reflect_to(torch.tensor([[1.0, 2.0, 3.0, 9.0]]), samples=3, size=5)
    tensor([[1., 2., 3., 2., 1.]])
    """
    period = max(2 * (samples - 1), 1)
    positions = torch.arange(size, device=waveforms.device) % period
    return waveforms[:, torch.minimum(positions, period - positions) if samples > 1 else positions]


class PeAudio(AudioEncoder):
    """Audio tower and head of a `PeAudioModel`: one vector of a recording, not normalised.

    Its convolutions hear padding, so recordings of one length are embedded at a time.
    """

    def __init__(self, whole: Any, extractor: Any, window: int) -> None:
        super().__init__()
        self.model, self.head = whole.audio_encoder, whole.audio_head
        self.sample_rate, self.hop, self.window = int(extractor.sampling_rate), int(extractor.hop_length), window
        self.dim = int(whole.config.text_config.hidden_size)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """`(B, T)` float32 at `sample_rate`, `(B,)` int64 -> `(B, dim)`: the mean over a recording's windows."""
        windows, samples, present = cut_windows(waveforms, lengths, self.window)
        samples = samples.clamp(min=1)
        vectors = in_groups(lambda rows: self._embed(windows[rows], int(samples[rows[0]])), samples)
        return average_windows(vectors, present)

    def _embed(self, windows: Tensor, samples: int) -> Tensor:
        whole_hops = -(-samples // self.hop) * self.hop
        values = reflect_to(windows, samples, whole_hops)[:, None]  # (N, 1, T)
        output: Tensor = self.head(self.model(input_values=values).pooler_output)
        return output


class PeText(TokenizedText):
    """Text tower and head of a `PeAudioModel`: not normalised."""

    def __init__(self, whole: Any, tokenizer: Any, max_tokens: int) -> None:
        super().__init__(whole.text_model, tokenizer, max_tokens, int(whole.config.text_config.hidden_size))
        self.head = whole.text_audio_head

    def embed(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Like `TokenizedText.embed`: the first token's last state, through the head."""
        states = self.model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True).hidden_states
        output: Tensor = self.head(states[-1][:, 0])
        return output


class PeAudioPair(HubPair):
    """PE-Audio by hub name or local folder, such as "facebook/pe-av-large".

    Its embeddings are those of `PeAudioModel.get_audio_embeds` and `get_text_audio_embeds`, compared by their product,
    as the model's `forward` does. The codec in front of the audio tower is never trained.

    Args:
        window_seconds: recordings longer than this are cut into windows, whose vectors are averaged.
        name, **kwargs: as of `HubPair`.

    Raises:
        ModelError: as of `HubPair`.
    """

    kind = PeAudioModel

    def __init__(self, name: str, window_seconds: float = 30.0, **kwargs: Any) -> None:
        check_numbers(ModelError, "model.pair", 0.1, window_seconds=window_seconds)
        self.window_seconds = window_seconds
        super().__init__(name, **kwargs)

    def make_towers(self, max_tokens: int) -> None:
        """PE-Audio's towers, its scale, and a product of vectors that are not normalised."""
        whole, tokenizer, extractor = self.source
        self.audio = PeAudio(whole, extractor, round(self.window_seconds * extractor.sampling_rate))
        self.text = PeText(whole, tokenizer, max_tokens)
        self.matcher = Projected(normalise=False)
        scale = whole.text_audio_logit_scale.item()
        self.tau = 1 / scale if scale > 0 else None
