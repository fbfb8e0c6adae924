"""Pairs that are one model of transformers, by hub name or local folder."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from lightning_modules.pairs.base import Pair, freeze_unused
from lightning_modules.pairs.loading import load_whole
from lightning_modules.training.lora import LoRA


class HubPair(Pair):
    """Both towers of a model of transformers; a subclass says in `make_towers` what its encoders are.

    Args:
        name: hub name, local folder, or `package:NAME/FOLDER`.
        max_tokens: longer captions are cut.
        trained_audio_layers: how many of the audio tower's last layers (CLAP: stages) are trained, with its
            projection; null trains all, 0 the projection alone.
        trained_text_layers: the same of the text tower's layers.
        lora: train low-rank adapters and projections in place of the towers' own weights.
        random_init: random weights; a folder without weights is enough.
        trained_on: data sets and sources ("clotho train", "freesound") of its training; known for published names.
        revision: of a hub model.

    Attributes:
        kind: the model's class.
        source: the model with its tokenizer and feature extractor.

    Raises:
        ModelError: the checkpoint cannot be found or loaded, or does not go with the other arguments.
    """

    kind: ClassVar[Any]

    def __init__(
        self,
        name: str,
        max_tokens: int = 77,
        trained_audio_layers: int | None = None,
        trained_text_layers: int | None = None,
        lora: LoRA | None = None,
        random_init: bool = False,
        trained_on: Sequence[str] | None = None,
        revision: str | None = None,
    ) -> None:
        super().__init__(name, trained_on)
        self.source = load_whole(self.kind, name, revision, random_init)
        self.make_towers(max_tokens)
        config = self.source.model.config
        audio: Any = self.audio
        text: Any = self.text
        audio.source = text.source = None if random_init else name
        example = torch.zeros(1, audio.sample_rate), torch.tensor([audio.sample_rate])
        layers = config.audio_config.num_hidden_layers, config.text_config.num_hidden_layers
        audio.choose_trained(audio.model, layers[0], trained_audio_layers, lora, lambda: audio(*example))
        text.choose_trained(text.model, layers[1], trained_text_layers, lora, lambda: text(["a"]))
        freeze_unused(audio, example)
        freeze_unused(text, (["a dog barks"],))

    def make_towers(self, max_tokens: int) -> None:
        """Set `audio` and `text`, each with its tower as `model`, and what else the model fixes, out of `source`."""
        raise NotImplementedError
