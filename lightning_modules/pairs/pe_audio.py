"""PE-Audio (Perception Encoder): both towers of transformers' `PeAudioModel`."""

from collections.abc import Sequence
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
from lightning_modules.pairs.base import Pair, TokenizedText
from lightning_modules.pairs.clap import choose_trained
from lightning_modules.pairs.loading import load_whole
from lightning_modules.training.lora import LoRA


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


class PeAudioPair(Pair):
    """PE-Audio by hub name or local folder, such as "facebook/pe-av-large".

    Its embeddings are those of `PeAudioModel.get_audio_embeds` and `get_text_audio_embeds`, compared by their product,
    as the model's `forward` does. The codec in front of the audio tower is never trained.

    Args:
        name: hub name, local folder, or `package:NAME/FOLDER`.
        window_seconds: recordings longer than this are cut into windows, whose vectors are averaged.
        max_tokens: longer captions are cut.
        trained_audio_layers: how many of the audio tower's last layers are trained, with its head; null trains all, 0
            the head alone.
        trained_text_layers: the same of the text tower.
        lora: train low-rank adapters and heads in place of the towers' own weights.
        random_init: random weights; a folder without weights is enough.
        trained_on: data sets and sources ("audioset") of its training; known for published names.
        revision: of a hub model.

    Raises:
        ModelError: the checkpoint cannot be found or loaded, or does not go with the other arguments.
    """

    def __init__(
        self,
        name: str,
        window_seconds: float = 30.0,
        max_tokens: int = 77,
        trained_audio_layers: int | None = None,
        trained_text_layers: int | None = None,
        lora: LoRA | None = None,
        random_init: bool = False,
        trained_on: Sequence[str] | None = None,
        revision: str | None = None,
    ) -> None:
        super().__init__(name, trained_on)
        check_numbers(ModelError, "model.pair", 0.1, window_seconds=window_seconds)
        self.source = load_whole(PeAudioModel, name, revision, random_init)
        whole, tokenizer, extractor = self.source
        audio = PeAudio(whole, extractor, round(window_seconds * extractor.sampling_rate))
        self.audio, self.text = audio, PeText(whole, tokenizer, max_tokens)
        self.matcher = Projected(normalise=False)
        scale = whole.text_audio_logit_scale.item()
        self.tau = 1 / scale if scale > 0 else None
        choose_trained(self, (trained_audio_layers, trained_text_layers), lora, whole.config)
