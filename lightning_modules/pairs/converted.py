"""MS-CLAP 2022 and 2023, and WavCaps' HTSAT-BERT: published checkpoint files in modules of torch and transformers.

The files are read without trusting them. What they hold is renamed; parts that no embedding needs (classifiers, the
Fourier transform's windows) are left out.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, ClapAudioConfig, ClapAudioModel

from common.errors import ModelError
from common.pretrained import find_model, find_weights
from common.text import one_line
from lightning_modules.audio_encoders.cnn14 import Cnn14
from lightning_modules.audio_encoders.decibel_mels import DecibelMels, Padding, slaney_mels
from lightning_modules.pairs.base import Pair, TokenizedText, freeze_unused
from lightning_modules.pairs.clap import WindowedAudio
from lightning_modules.weights import read_weights

Version = Literal["msclap 2022", "msclap 2023", "wavcaps htsat-bert"]

BLOCK = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "attn.relative_position_bias_table": "attention.self.relative_position_bias_table",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
"""Parts of HTSAT's blocks, under their published names and those of transformers."""


class Recipe:
    """How a published checkpoint hears and reads.

    Args:
        sample_rate: in Hz.
        seconds: length of a window.
        padding: how short windows are filled up.
        mels: of its front end, where the file does not hold them: the rate they were made for, and their edges in Hz.
        text_model: of its tokenizer and the text tower's config.
        max_tokens: longer captions are cut.
        audio, text: prefixes of the towers' names.
    """

    def __init__(
        self,
        sample_rate: int,
        seconds: int,
        padding: Padding,
        mels: tuple[int, float, float],
        text_model: str,
        max_tokens: int,
        audio: str,
        text: str,
    ) -> None:
        self.sample_rate, self.window, self.padding, self.mels = sample_rate, sample_rate * seconds, padding, mels
        self.text_model, self.max_tokens, self.audio, self.text = text_model, max_tokens, audio, text


MS = "audio_encoder.base."
RECIPES: dict[str, Recipe] = {
    "msclap 2022": Recipe(
        44_100, 5, "repeat", (44_100, 50.0, 14_000.0), "google-bert/bert-base-uncased", 100, MS, "caption_encoder.base."
    ),
    # Its HTSAT has the mel filters of 32 kHz, though it hears 44.1 kHz.
    "msclap 2023": Recipe(
        44_100, 7, "repeat", (32_000, 50.0, 14_000.0), "openai-community/gpt2", 77,
        MS + "htsat.", "caption_encoder.base.",
    ),
    "wavcaps htsat-bert": Recipe(
        32_000, 10, "pad", (32_000, 50.0, 14_000.0), "google-bert/bert-base-uncased", 30,
        "audio_encoder.audio_enc.", "text_encoder.text_encoder.",
    ),
}  # fmt: skip


def htsat_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """HTSAT's weights under the names of transformers' `ClapAudioModel`.

    >>> sorted(htsat_names({"layers.0.blocks.1.attn.qkv.bias": torch.zeros(6), "head.bias": torch.zeros(1)}))[0]
    'audio_encoder.layers.0.blocks.1.attention.self.key.bias'
    """
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if match := re.fullmatch(r"(layers\.\d+\.blocks\.\d+\.)(.+?)(\.weight|\.bias|)", name):
            block, part, end = match.groups()
            if part == "attn.qkv":
                for own, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                    renamed[f"audio_encoder.{block}attention.self.{own}{end}"] = third.clone()
            elif part in BLOCK:
                renamed[f"audio_encoder.{block}{BLOCK[part]}{end}"] = value
        elif name.startswith("bn0."):
            renamed[f"audio_encoder.batch_norm.{name.removeprefix('bn0.')}"] = value
        elif name.startswith(("patch_embed.", "norm.")) or ".downsample." in name:
            renamed[f"audio_encoder.{name}"] = value
    return renamed


class ResidualHead(nn.Module):
    """MS-CLAP's projection: LayerNorm(W1 x + Dropout(W2 gelu(W1 x)))."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(dim, out, bias=False), nn.Linear(out, out, bias=False)
        self.layer_norm, self.drop = nn.LayerNorm(out), nn.Dropout(0.5)

    def forward(self, vectors: Tensor) -> Tensor:
        """(N, dim) -> (N, out)."""
        projected = self.linear1(vectors)
        output: Tensor = self.layer_norm(projected + self.drop(self.linear2(F.gelu(projected))))
        return output


class ConvertedAudio(WindowedAudio):
    """An audio tower (Cnn14 or HTSAT) behind its front end, with its projection."""

    def __init__(self, model: nn.Module, projection: nn.Module, mels: DecibelMels, recipe: Recipe, dim: int) -> None:
        super().__init__(mels, recipe.sample_rate, recipe.window, recipe.padding, dim)
        self.model, self.projection = model, projection

    def embed(self, mels: Tensor) -> Tensor:
        """Like `WindowedAudio.embed`."""
        if isinstance(self.model, Cnn14):
            pooled = self.model(mels)
        else:
            pooled = self.model(input_features=mels[:, None]).pooler_output
        output: Tensor = self.projection(pooled)
        return output


class ConvertedText(TokenizedText):
    """A text tower with its projection: BERT's first token, or GPT-2's last."""

    def __init__(self, model: nn.Module, projection: nn.Module, tokenizer: Any, max_tokens: int, dim: int) -> None:
        super().__init__(model, tokenizer, max_tokens, dim)
        self.projection = projection
        self.is_gpt: bool = getattr(model, "config").model_type == "gpt2"  # noqa: B009 (of a Module, a Tensor)
        if self.is_gpt:
            tokenizer.add_special_tokens({"pad_token": "!"})  # id 0

    def prepared(self, captions: list[str]) -> list[str]:
        """As MS-CLAP reads them: GPT-2 is told where a caption ends."""
        return [f"{caption} <|endoftext|>" for caption in captions] if self.is_gpt else captions

    def embed(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Like `TokenizedText.embed`."""
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # (C, L, D)
        # As published: tokens "!" (id 0) inside a caption are taken for padding.
        last = (input_ids != 0).sum(1) - 1 if self.is_gpt else torch.zeros(len(states), dtype=torch.int64)
        output: Tensor = self.projection(states[torch.arange(len(states)), last])
        return output


class ConvertedPair(Pair):
    """MS-CLAP or WavCaps, from its published checkpoint file.

    MS-CLAP: `hub:microsoft/msclap/CLAP_weights_2023.pth` or `..._2022.pth`. WavCaps: the .pt files that its repository
    links. A recording longer than a window (5, 7 or 10 s) is embedded as the mean over its windows, where the authors'
    code takes a crop at random (MS-CLAP) or overlapping crops (WavCaps).

    Args:
        version: which it is.
        checkpoint: the file; null for random weights.
        text_model: of the tokenizer and the text tower's config: hub name, local folder; default: as published.
        audio_config: other sizes of the audio tower, for tests: those of `ClapAudioConfig`, or `width` of Cnn14.
        embedding_dim: of the shared space.
        trained_on: data sets and sources of its training; known for these versions.

    Raises:
        ModelError: file or text model cannot be found or read, or do not go together.

    Source: Elizalde et al. 2023 and 2024 (MS-CLAP); Mei et al. 2024 (WavCaps); Chen et al. 2022 (HTSAT).
    """

    def __init__(
        self,
        version: Version,
        checkpoint: str | None = None,
        text_model: str | None = None,
        audio_config: dict[str, Any] | None = None,
        embedding_dim: int = 1024,
        trained_on: Sequence[str] | None = None,
    ) -> None:
        super().__init__(version, trained_on)
        if version not in RECIPES:
            raise ModelError(f"model.pair.version is '{version}': give one of {', '.join(RECIPES)}")
        self.recipe = recipe = RECIPES[version]
        self.tokenizer, self.text_config = _text_parts(text_model or recipe.text_model)
        tower: nn.Module
        if version == "msclap 2022":
            width = (audio_config or {}).get("width", 64)
            audio_dim = width * 32
            tower = Cnn14(width, audio_dim)
        else:
            clap = ClapAudioConfig(**{"num_mel_bins": 64, "enable_fusion": False, **(audio_config or {})})
            audio_dim = int(clap.patch_embeds_hidden_size * 8)
            tower = ClapAudioModel(clap)
        options = {"add_pooling_layer": False} if self.text_config.model_type == "bert" else {}
        text_tower = AutoModel.from_config(self.text_config, **options)
        text_dim = int(self.text_config.hidden_size)
        head = _two_layers if version == "wavcaps htsat-bert" else ResidualHead
        rate, fmin, fmax = recipe.mels
        mels = slaney_mels(rate, 1024, 320, 64, fmin, fmax)
        audio: Any = ConvertedAudio(tower, head(audio_dim, embedding_dim), mels, recipe, embedding_dim)
        text: Any = ConvertedText(
            text_tower, head(text_dim, embedding_dim), self.tokenizer, recipe.max_tokens, embedding_dim
        )
        self.audio, self.text = audio, text
        if checkpoint is not None:
            self._load(checkpoint, read_weights(find_weights(checkpoint)), version)
        audio.source = text.source = checkpoint
        freeze_unused(self.audio, (torch.zeros(1, recipe.window), torch.tensor([recipe.window])))
        freeze_unused(self.text, (["a dog barks"],))

    def _load(self, checkpoint: str, state: dict[str, Tensor], version: str) -> None:
        state = {name.removeprefix("module."): value for name, value in state.items()}
        recipe = self.recipe
        mine: tuple[Any, Any] = self.audio, self.text
        audio = _inside(state, recipe.audio)
        filters = next((value for name, value in audio.items() if name.endswith("melW")), None)  # (F, M)
        tower = audio if version == "msclap 2022" else htsat_names(audio)
        heads = ("audio_proj.", "text_proj.")
        if version != "wavcaps htsat-bert":
            heads = ("audio_encoder.projection.", "caption_encoder.projection.")
        parts: list[tuple[nn.Module, dict[str, Tensor]]] = [
            (mine[0].model, tower),
            (mine[0].projection, _inside(state, heads[0])),
            (mine[1].model, _inside(state, recipe.text)),
            (mine[1].projection, _inside(state, heads[1])),
        ]
        for module, weights in parts:
            _fill(module, weights, checkpoint, version)
        if filters is not None and filters.shape == mine[0].mels.bank.shape:
            mine[0].mels.bank.copy_(filters)
        if "logit_scale" in state:
            self.tau = float(np.exp(-state["logit_scale"].item()))
        elif "temp" in state:
            self.tau = state["temp"].item()


def _text_parts(name: str) -> tuple[Any, Any]:
    try:
        source = find_model(name)
        hub = {"local_files_only": source.local_files_only}
        return (
            AutoTokenizer.from_pretrained(source.name_or_path, **hub),
            AutoConfig.from_pretrained(source.name_or_path, **hub),
        )
    except ModelError as error:
        raise ModelError(f"model.pair.text_model: {error}") from error
    except Exception as error:  # what tokenizers and configs raise has no common base
        raise ModelError(
            f"model.pair.text_model: '{name}' cannot be loaded ({one_line(error)[:160]}); it needs config.json and the "
            "tokenizer"
        ) from error


def _two_layers(dim: int, out: int) -> nn.Module:
    return nn.Sequential(nn.Linear(dim, out), nn.ReLU(), nn.Linear(out, out))


def _inside(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _fill(module: nn.Module, weights: Mapping[str, Tensor], checkpoint: str, version: str) -> None:
    """Load what the module has; more may be there (classifiers, masks), less may not."""
    own = dict(module.named_parameters()) | {
        name: value for name, value in module.state_dict().items() if "running_" in name
    }
    wrong = sorted(name for name, value in own.items() if name not in weights or weights[name].shape != value.shape)
    if wrong:
        raise ModelError(
            f"{checkpoint}: is no checkpoint of {version} ({len(wrong)} of {len(own)} tensors of its "
            f"{type(module).__name__} are missing or have other shapes, e.g. {wrong[0]}); check version and file"
        )
    module.load_state_dict(
        {name: value for name, value in weights.items() if name in module.state_dict()}, strict=False
    )
