"""Any Hugging Face audio model as an audio encoder."""

import inspect
import sys
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from transformers import (
    FEATURE_EXTRACTOR_MAPPING,
    ASTFeatureExtractor,
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    BatchFeature,
    PreTrainedConfig,
    Speech2TextFeatureExtractor,
    Wav2Vec2FeatureExtractor,
)

from common.errors import ModelError
from common.load_reports import without_unused
from common.pretrained import find_model
from common.text import cause_of
from lightning_modules.architectures import check_whole, in_groups, sees_padding, tower_of
from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.audio_encoders.device_features import device_features
from lightning_modules.audio_encoders.windows import Windows, check_windows, cut_windows, join_windows, pool_windows
from lightning_modules.pooling.mean import MeanPooling
from lightning_modules.states import Encoded, States
from lightning_modules.training.lora import LoRA

Pooling = Literal["mean", "first", "model", "none"]
NOISE = ("mask_time_prob", "mask_feature_prob", "layerdrop", "encoder_layerdrop")
"""Settings of Wav2Vec2-like models that are put to 0: they mask time steps with draws from NumPy, which torch's seed
does not reach, and skip whole layers, whose parameters then get no gradient, which DDP refuses."""
SHORTEST_INPUT = 0.1
"""Seconds; less is filled up with zeros, since extractors fail on audio shorter than one of their frames."""


class HuggingFaceAudio(AudioEncoder):
    """A Hugging Face audio model by hub name or local folder, with its own feature extractor.

    For example "MIT/ast-finetuned-audioset-10-10-0.4593" (AST, pooling "model"), the audio tower of
    "laion/clap-htsat-unfused" (CLAP, pooling "model"), or "facebook/wav2vec2-large-lv60" (pooling "mean"). Of models
    with several towers the audio tower is taken, of encoder-decoders the encoder.

    Clips are cut into windows, whose embeddings are averaged or given as they are; the feature extractor fills up the
    last one in its own way. The spectrograms of CLAP and AST are computed in batches on the model's device; other
    extractors run on the CPU, clip by clip in NumPy, and slow training down on a fast GPU.

    Args:
        model: hub name, local folder, or `package:NAME/FOLDER`.
        pooling: "mean" of all tokens (of audio, where the model tells padding apart), the "first" token, the
            "model"'s own pooled output, or "none": the tokens of audio, of all windows, for `model.audio_pooling`.
        window_seconds: length of a window; None is 10 s, or less where the model takes in less.
        random_init: random weights; a folder with config.json is enough.
        trained_layers: how many of the last layers (of CLAP: stages) are trained, with what comes after them; all else
            stays as it is, without dropout. null trains all, 0 none.
        lora: train low-rank adapters in place of the model's own weights; its dropout stays.
        revision: of a hub model.
        windows: "mean" averages a clip's windows, "none" gives them as they are, states for `model.audio_pooling`.

    Attributes:
        sample_rate: the feature extractor's, in Hz.

    Raises:
        ModelError: the model cannot be found or loaded, or has no output for this pooling.
    """

    model: Any
    extractor: Any

    def __init__(
        self,
        model: str,
        pooling: Pooling = "mean",
        window_seconds: float | None = None,
        random_init: bool = False,
        trained_layers: int | None = None,
        lora: LoRA | None = None,
        revision: str | None = None,
        windows: Windows = "mean",
    ):
        super().__init__()
        check_windows("audio encoder", windows)
        self.windows: Windows = windows
        if pooling not in get_args(Pooling):
            raise ModelError(f"audio encoder: pooling is '{pooling}': give one of {', '.join(get_args(Pooling))}")
        self.name = model
        self.source = None if random_init else model
        try:
            source = find_model(model, revision)
            hub = {"revision": revision, "local_files_only": source.local_files_only}
            config = AutoConfig.from_pretrained(source.name_or_path, **hub)
            for key in config.to_dict().keys() & NOISE:
                setattr(config, key, 0.0)
            self.extractor = _load_extractor(source.name_or_path, hub, config if random_init else None)
            if random_init:
                self.model = _audio_tower(AutoModel.from_config(config, dtype=torch.float32))
            else:
                self.model = _load_tower(source.name_or_path, hub, config)
        except ModelError as error:
            raise ModelError(f"audio encoder: {error}") from error
        except Exception as error:  # what extractors, safetensors and transformers raise has no common base
            raise ModelError(
                f"audio encoder: '{model}' cannot be loaded ({cause_of(error)}); it needs config.json, "
                "preprocessor_config.json and weights of an audio model, as its authors published them"
            ) from error
        self.front_end = device_features(self.extractor)
        self.sample_rate = int(self.extractor.sampling_rate)
        self.has_spectrogram = bands_of(self.extractor) > 1
        self.window = self._window(window_seconds)
        self.pooling = pooling
        self.unpadded = False
        self.dim = self._try()
        layers = getattr(self.model.config, "num_hidden_layers", None)
        second = torch.zeros(1, self.sample_rate), torch.tensor([self.sample_rate])
        self.choose_trained(self.model, layers, trained_layers, lora, lambda: self(*second))

    def _window(self, seconds: float | None) -> int:
        """Samples in a window of so many seconds; extractors would cut off what is too long, some at random."""
        longest = _longest_input(self.extractor)
        if seconds is None:
            return min(longest, 10 * self.sample_rate)
        if not 0 < seconds * self.sample_rate <= longest:
            raise ModelError(
                f"audio encoder: window_seconds {seconds:g}: '{self.name}' takes more than 0 and at most "
                f"{longest / self.sample_rate:g} s; leave it out for the default"
            )
        return round(seconds * self.sample_rate)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Encoded:
        """`(B, T)` float32 at `sample_rate`, `(B,)` int64 -> `(B, dim)`, or the tokens of each clip's windows."""
        windows, samples, present = cut_windows(waveforms, lengths, self.window)
        samples = samples.clamp(min=round(SHORTEST_INPUT * self.sample_rate))
        if self.pooling == "none":
            return join_windows(*self._frames(windows, samples), present)
        if self.unpadded:
            embeddings = in_groups(lambda rows: self._embed(windows[rows], samples[rows]), samples)
        else:
            embeddings = self._embed(windows, samples)
        return pool_windows(embeddings, present, self.windows)

    def _embed(self, windows: Tensor, samples: Tensor) -> Tensor:
        """One vector a window, `(N, dim)`."""
        features = self._features(windows, samples)
        return self._pool(self.model(**features), features, samples)

    def _frames(self, windows: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens `(N, L, dim)` of windows, and how many hold audio, `(N,)`."""
        features = self._features(windows, samples)
        tokens = _tokens(self.model(**features))
        held = self._audible_tokens(features, samples, tokens.shape[1])
        if held is None or self.unpadded:
            raise ModelError(
                f"audio encoder: of '{self.name}' ({type(self.model).__name__}) it is not known which tokens hold "
                "audio and which padding, so pooling cannot be none; give mean, first or model"
            )
        return tokens, held

    def _features(self, windows: Tensor, samples: Tensor) -> BatchFeature:
        """What `_extract` gives, on the device of the windows, its spectrograms with `masks`."""
        features = self._extract(windows, samples).to(windows.device)
        for name in ("input_features", "input_values"):
            values = features.get(name)
            if values is not None and self.has_spectrogram:
                time_axis = 1 if values.shape[-1] == bands_of(self.extractor) else 2
                views = values if values.ndim == 3 else values[:, 0]  # CLAP's views are copies of one
                masked = self.masked(views, time_axis)
                features[name] = masked if values.ndim == 3 else masked[:, None].expand_as(values)
        return features

    @torch.no_grad()
    def _try(self) -> int:
        """Size of the vectors; and find out whether the model sees padding.

        Raises:
            ModelError: the model gives no vectors of audio alone.
        """
        self.eval()
        length = min(self.sample_rate, self.window)
        samples = torch.tensor([length, length // 2])
        noise = 0.1 * torch.randn(2, length, generator=torch.Generator().manual_seed(0))

        def embed(rows: list[int]) -> Tensor:
            longest = int(samples[rows].max())
            return self._embed(noise[rows, :longest], samples[rows])

        try:
            dim = int(embed([1]).shape[1])
            self.unpadded = not self._fills_up(noise, samples) and sees_padding(embed, 2)
            if self.pooling == "none":
                self._frames(noise, samples)
        except ModelError:
            raise
        except Exception as error:  # models refuse in ways of their own
            raise ModelError(
                f"audio encoder: '{self.name}' ({type(self.model).__name__}) gives no vectors of audio alone "
                f"({cause_of(error)}); take an audio encoder, such as AST, CLAP, Whisper, HuBERT or wav2vec 2.0"
            ) from error
        finally:
            self.train()
        return dim

    def _fills_up(self, windows: Tensor, samples: Tensor) -> bool:
        """Whether the extractor makes the same of a window whatever is beside it; then the model does too."""
        try:
            both, short = self._extract(windows, samples), self._extract(windows[1:], samples[1:])
        except Exception:  # it cannot stack what it does not pad
            return False
        return all(torch.equal(both[name][1:], short[name]) for name in short)

    def _extract(self, windows: Tensor, samples: Tensor) -> BatchFeature:
        """The model's inputs for windows `(N, window)` with so many `samples` each, `(N,)`."""
        if self.front_end is not None:
            return BatchFeature(self.front_end(windows, samples))
        pieces = [window[:end] for window, end in zip(windows.cpu().numpy(), samples.tolist(), strict=True)]
        padding: dict[str, Any] = {}
        if isinstance(self.extractor, Wav2Vec2FeatureExtractor):
            # Models without an attention mask hear the padding: always give them the same amount.
            masked = self.extractor.return_attention_mask
            padding = {"padding": True} if masked else {"padding": "max_length", "max_length": self.window}
        elif isinstance(self.extractor, Speech2TextFeatureExtractor):
            padding = {"padding": True}
        features: BatchFeature = self.extractor(pieces, sampling_rate=self.sample_rate, return_tensors="pt", **padding)
        taken = inspect.signature(self.model.forward).parameters
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
            features = BatchFeature({name: value for name, value in features.items() if name in taken})
        return features

    def _pool(self, output: Any, features: BatchFeature, samples: Tensor) -> Tensor:
        """One vector a window, `(N, dim)`, of what the model gives."""
        wanted = "pooler_output" if self.pooling == "model" else "last_hidden_state"
        states: Tensor | None = getattr(output, wanted, None)
        if states is None:
            raise ModelError(f"audio encoder '{self.name}' has no {wanted}: choose another pooling than {self.pooling}")
        if self.pooling == "model":
            return states
        tokens = _tokens(output)
        if self.pooling == "first":
            return tokens[:, 0]
        held = self._audible_tokens(features, samples, tokens.shape[1])
        if held is None:  # the model was trained on padded inputs: all count
            return tokens.mean(1)
        return MeanPooling()(States(tokens, held))  # type: ignore[no-any-return]

    def _audible_tokens(self, features: BatchFeature, samples: Tensor, tokens: int) -> Tensor | None:
        """Tokens that hold audio, `(N,)` int64; None where that is not known."""
        values = features.get("input_values")
        if values is not None and values.ndim == 2:  # a model of raw waveforms
            frames = [int(self.model._get_feat_extract_output_lengths(length[None])) for length in samples.cpu()]
            return torch.tensor(frames, device=samples.device).clamp(1, tokens)
        mask = features.get("attention_mask")
        if mask is not None and mask.shape[1] == tokens:
            held: Tensor = mask.sum(1)
            return held.clamp(min=1)
        return None


def bands_of(extractor: Any) -> int:
    """Bands of the spectrograms that a feature extractor makes; 1 where it hands on waveforms."""
    return int(getattr(extractor, "num_mel_bins", getattr(extractor, "feature_size", 1)))


def _tokens(output: Any) -> Tensor:
    """All tokens `(N, L, dim)` of what a model gives."""
    states: Tensor = output.last_hidden_state
    return states.flatten(2).transpose(1, 2) if states.ndim == 4 else states  # CLAP: (N, D, F, T) -> (N, L, D)


def _longest_input(extractor: Any) -> int:
    """Samples that a feature extractor takes in without cutting them off."""
    if isinstance(extractor, ASTFeatureExtractor):
        return int(extractor.max_length * extractor.sampling_rate // 100)  # frames of 10 ms
    for limit in ("nb_max_samples", "n_samples"):  # CLAP, Whisper
        if hasattr(extractor, limit):
            return int(getattr(extractor, limit))
    return sys.maxsize


def _load_extractor(name: str, hub: dict[str, Any], config: PreTrainedConfig | None) -> Any:
    """The model's feature extractor; given a `config`, the default one for it where the folder holds none."""
    try:
        return AutoFeatureExtractor.from_pretrained(name, **hub)
    except OSError:
        if config is None or type(config) not in FEATURE_EXTRACTOR_MAPPING:
            raise
        default: Any = FEATURE_EXTRACTOR_MAPPING[type(config)]
        settings = config.to_dict()
        shared = inspect.signature(default).parameters.keys() & settings.keys()  # such as AST's max_length
        return default(**{key: settings[key] for key in shared})


def _load_tower(name: str, hub: dict[str, Any], config: PreTrainedConfig) -> nn.Module:
    """The audio tower with its weights, in float32; a tower whose weights are not in the files is refused."""
    with without_unused():
        model, report = AutoModel.from_pretrained(
            name, config=config, dtype=torch.float32, output_loading_info=True, **hub
        )
    tower = _audio_tower(model)
    check_whole(name, report, model, tower)
    return tower


def _audio_tower(model: Any) -> nn.Module:
    """The part of a model that hears."""
    return tower_of(model, ("audio_model", "audio_tower", "speech_encoder"))
