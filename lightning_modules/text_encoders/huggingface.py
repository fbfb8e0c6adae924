"""Text encoders: captions in, one vector a caption out."""

import inspect
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, AutoTokenizer

from common.errors import ModelError
from common.load_reports import without_unused
from common.numbers import check_numbers
from common.pretrained import find_model
from common.text import cause_of
from common.token_limits import count_cut
from lightning_modules.architectures import check_whole, in_groups, sees_padding, tower_of
from lightning_modules.states import Encoded
from lightning_modules.text_encoders.base import Normalisation, Pooling, TextEncoder, normalise_caption, pool_tokens
from lightning_modules.training.lora import LoRA

DROPOUT = ("hidden_dropout_prob", "dropout", "dropout_rate")
ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
"""Names that configurations give to the two; the first that is there counts."""


class HuggingFaceText(TextEncoder):
    """Any Hugging Face text model that gives token states.

    Args:
        model: hub name, local folder, or `package:NAME/FOLDER`.
        pooling: "first" takes the first token's state (`<s>` of RoBERTa), "mean" averages tokens (SBERT
            models), "none" gives the states of all tokens, for `model.text_pooling`.
        max_tokens: longer captions are cut.
        normalise_captions: lower-case them and take out punctuation: true or "words" puts a space in its place,
            "dcase2025" joins what it parted, as that baseline does; the paper's code feeds them as they are.
        dropout, attention_dropout: of the model in training; null keeps what its config says, and is what a model
            without such a setting needs.
        trained_layers: how many of the last layers are trained, with what comes after them; the others and the token
            embeddings stay as they are, without dropout. null trains all, 0 none.
        lora: train low-rank adapters in place of the model's own weights; its dropout stays.
        revision: of a hub model.
        config: build the model from this configuration with random weights (keys of its Hugging Face config,
            `model_type` among them); `model` then gives the tokenizer alone. For tests of size and speed.

    Raises:
        ModelError: the model cannot be found or loaded, or does not go with the other arguments.

    Source of the defaults: Xie et al. 2024, section IV-B, and the authors' code (dropout .2, 32 tokens).
    """

    def __init__(
        self,
        model: str = "FacebookAI/roberta-large",
        pooling: Pooling = "first",
        max_tokens: int = 32,
        normalise_captions: bool | Normalisation = False,
        dropout: float | None = 0.2,
        attention_dropout: float | None = 0.2,
        trained_layers: int | None = None,
        lora: LoRA | None = None,
        revision: str | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if pooling not in get_args(Pooling):
            raise ModelError(f"text encoder: pooling is '{pooling}': give one of {', '.join(get_args(Pooling))}")
        rates = {"dropout": dropout, "attention_dropout": attention_dropout}
        check_numbers(ModelError, "text encoder", 0, 1, **rates)
        try:
            source = find_model(model, revision)
            hub = {"revision": revision, "local_files_only": source.local_files_only}
            self.tokenizer = AutoTokenizer.from_pretrained(source.name_or_path, **hub)
            if config is None:
                settings = AutoConfig.from_pretrained(source.name_or_path, **hub)
            else:
                settings = AutoConfig.for_model(**config)
            inner = getattr(settings, "text_config", settings)  # of models with several towers
            _set_dropout(inner, "dropout", DROPOUT, dropout)
            _set_dropout(inner, "attention_dropout", ATTENTION_DROPOUT, attention_dropout)
            # Some models carry an unused head ("pooler"); its parameters would get no gradient, which DDP refuses.
            options: dict[str, Any] = {"add_pooling_layer": False} if _takes_pooling_flag(settings) else {}
            if config is None:
                with without_unused():
                    whole, report = AutoModel.from_pretrained(
                        source.name_or_path,
                        config=settings,
                        dtype=torch.float32,
                        output_loading_info=True,
                        **hub,
                        **options,
                    )
                check_whole(model, report, whole, _text_tower(whole))
            else:
                whole = AutoModel.from_config(settings, dtype=torch.float32, **options)
            self.model = _text_tower(whole)
        except ModelError as error:
            raise ModelError(f"text encoder: {error}") from error
        except Exception as error:  # what tokenizers, safetensors and transformers raise has no common base
            what = f"'{model}'" if config is None else f"config {config} with the tokenizer of '{model}'"
            raise ModelError(
                f"text encoder: {what} cannot be loaded ({cause_of(error)}); it takes the config (with model_type), "
                "the tokenizer and the weights of a Hugging Face text model"
            ) from error
        if self.tokenizer.pad_token is None and self.tokenizer.eos_token is not None:
            self.tokenizer.pad_token = self.tokenizer.eos_token  # of models that only ever saw one text at a time
        self._check_tokens(model, max_tokens)
        self.pooling: Pooling = pooling
        self.max_tokens = self.longest = max_tokens
        if not isinstance(normalise_captions, bool) and normalise_captions not in get_args(Normalisation):
            rules = ", ".join(get_args(Normalisation))
            raise ModelError(f"text encoder: normalise_captions is '{normalise_captions}': give true, false or {rules}")
        self.normalise_captions: Literal[False] | Normalisation = (
            "words" if normalise_captions is True else normalise_captions
        )
        self.source = model if config is None else None
        self.unpadded = False
        self.dim = self._try(model)
        layers = getattr(inner, "num_hidden_layers", None)
        self.choose_trained(self.model, layers, trained_layers, lora, lambda: self._states(["a"]))

    def _check_tokens(self, name: str, max_tokens: int) -> None:
        """Whether tokenizer, model and `max_tokens` go together; else captions would be lost without a word."""
        tokens, settings = len(self.tokenizer), getattr(self.model, "config", None)
        vocabulary = getattr(settings, "vocab_size", None) or tokens  # CANINE has none
        if tokens > vocabulary:
            raise ModelError(
                f"text encoder: the tokenizer of '{name}' has {tokens} tokens, but config.vocab_size is "
                f"{vocabulary}; raise it"
            )
        if tokens <= len(self.tokenizer.all_special_tokens):
            raise ModelError(f"text encoder: '{name}' holds no tokenizer; add its tokenizer.json (or vocab.txt)")
        longest = min(self.tokenizer.model_max_length, getattr(settings, "max_position_embeddings", max_tokens))
        if not 3 <= max_tokens <= longest:  # two tokens mark the beginning and the end
            raise ModelError(f"text encoder: max_tokens is {max_tokens}: '{name}' takes 3 to {longest}")

    @torch.no_grad()
    def _try(self, name: str) -> int:
        """Size of the vectors; and find out whether the model sees padding.

        Raises:
            ModelError: the model gives no vectors of captions alone.
        """
        self.eval()
        captions = ["a", "a dog barks while rain falls on a roof"]
        try:
            dim = int(self._embed(captions[:1], "first").shape[1])
            self.unpadded = sees_padding(
                lambda rows: self._embed([captions[row] for row in rows], "mean"), len(captions)
            )
        except Exception as error:  # models refuse in ways of their own
            raise ModelError(
                f"text encoder: '{name}' ({type(self.model).__name__}) gives no token states of captions alone "
                f"({cause_of(error)}); take a text encoder, such as BERT, RoBERTa, MPNet, T5 or CLAP"
            ) from error
        finally:
            self.train()
        if self.unpadded and self.pooling == "none":
            raise ModelError(f"text encoder: the tokens of '{name}' depend on the padding; give pooling: mean")
        return dim

    def forward(self, captions: list[str]) -> Encoded:
        """Like `TextEncoder.forward`; tokens are padded to the longest caption of the batch."""
        if self.normalise_captions:
            captions = [normalise_caption(caption, self.normalise_captions) for caption in captions]
        if not self.unpadded:
            return self._states(captions)
        tokens = self.tokenizer(captions, truncation=True, max_length=self.max_tokens)["input_ids"]
        lengths = torch.tensor([len(ids) for ids in tokens])
        return in_groups(lambda rows: self._embed([captions[row] for row in rows.tolist()]), lengths)

    def _embed(self, captions: list[str], pooling: Pooling | None = None) -> Tensor:
        vectors = self._states(captions, pooling)
        assert isinstance(vectors, Tensor)
        return vectors

    def _states(self, captions: list[str], pooling: Pooling | None = None) -> Encoded:
        tokens = self.tokenizer(
            captions,
            padding=len(captions) > 1 and not self.unpadded,
            padding_side="right",  # the first token has to be the first
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        ).to(self.model.device)
        hidden = self.model(**tokens).last_hidden_state  # (C, L, D)
        mask = tokens.get("attention_mask", torch.ones_like(tokens["input_ids"]))
        return pool_tokens(hidden, mask, pooling or self.pooling)

    def count_cut(self, captions: Sequence[str]) -> int:
        """How many captions have more than `max_tokens` tokens."""
        if self.normalise_captions:
            captions = [normalise_caption(caption, self.normalise_captions) for caption in captions]
        return count_cut(captions, self.tokenizer, self.max_tokens)


def _set_dropout(settings: Any, option: str, names: tuple[str, ...], value: float | None) -> None:
    """Set a probability under the name that the configuration knows it by."""
    if value is None:
        return
    name = next((name for name in names if hasattr(settings, name)), None)
    if name is None:
        raise ModelError(f"{type(settings).__name__} has no {option} to set; give {option}: null")
    setattr(settings, name, value)


def _takes_pooling_flag(settings: Any) -> bool:
    """Whether the model's constructor knows `add_pooling_layer`."""
    model_class: Any = MODEL_MAPPING.get(type(settings), None)
    return inspect.isclass(model_class) and "add_pooling_layer" in inspect.signature(model_class).parameters


def _text_tower(model: Any) -> Any:
    """The part of a model that reads."""
    tower: Any = tower_of(model, ("text_model",))
    if tower is not model and isinstance(getattr(tower, "pooler", None), nn.Module):
        tower.pooler = None  # unused; see above
    return tower
