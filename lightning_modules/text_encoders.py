"""Text encoders: captions in, one vector a caption out."""

import inspect
import re
from typing import Any, Literal

from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, AutoTokenizer

from lightning_modules.errors import ModelError
from relevance.errors import RelevanceError
from relevance.model_source import explain_unavailable, find_model


class TextEncoder(nn.Module):
    """Base of all text encoders.

    Attributes:
        dim: size of the embeddings.
    """

    dim: int

    def forward(self, captions: list[str]) -> Tensor:
        """Embed C captions: (C, dim), not normalised; float32, or the autocast type."""
        raise NotImplementedError


def normalise_caption(caption: str) -> str:
    """Lower case, no punctuation, single spaces.

    >>> normalise_caption("A dog barks, while  rain falls.")
    'a dog barks while rain falls'
    """
    return " ".join(re.sub(r"[^\w\s']", " ", caption.lower()).split())


def pool_tokens(hidden: Tensor, mask: Tensor, pooling: Literal["first", "mean"]) -> Tensor:
    """One vector a caption, (C, D), out of token states (C, L, D) and mask (C, L), 1 for tokens and 0 for padding."""
    if pooling == "first":
        return hidden[:, 0]
    weights = mask[:, :, None].to(hidden.dtype)  # (C, L, 1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1)


class HuggingFaceText(TextEncoder):
    """Any Hugging Face text model that gives token states.

    Args:
        model: hub name, local folder, or `package:NAME/FOLDER`.
        pooling: "first" takes the first token's state (`<s>` of RoBERTa), "mean" averages tokens (SBERT models).
        max_tokens: longer captions are cut.
        normalise_captions: lower-case them and take out punctuation; the paper's code feeds them as they are.
        dropout, attention_dropout: of the model in training; null keeps what its config says.
        revision: of a hub model.
        config: build the model from this configuration with random weights (keys of its Hugging Face config,
            `model_type` among them); `model` then gives the tokenizer alone. For tests of size and speed.

    Raises:
        ModelError: the model cannot be found or loaded.

    Source of the defaults: Xie et al. 2024, section III-B, and the authors' code (dropout .2, 32 tokens).
    """

    def __init__(
        self,
        model: str = "FacebookAI/roberta-large",
        pooling: Literal["first", "mean"] = "first",
        max_tokens: int = 32,
        normalise_captions: bool = False,
        dropout: float | None = 0.2,
        attention_dropout: float | None = 0.2,
        revision: str | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        try:
            source = find_model(model, revision)
            hub = {"revision": revision, "local_files_only": source.local_files_only}
            self.tokenizer = AutoTokenizer.from_pretrained(source.name_or_path, **hub)
            if config is None:
                settings = AutoConfig.from_pretrained(source.name_or_path, **hub)
            else:
                settings = AutoConfig.for_model(**config)
            for key, value in (("hidden_dropout_prob", dropout), ("attention_probs_dropout_prob", attention_dropout)):
                if value is not None and hasattr(settings, key):
                    setattr(settings, key, value)
            # Some models carry an unused head ("pooler"); its parameters would get no gradient, which DDP refuses.
            without_pooler = {"add_pooling_layer": False} if _takes_pooling_flag(settings) else {}
            if config is None:
                self.model = AutoModel.from_pretrained(source.name_or_path, config=settings, **hub, **without_pooler)
            else:
                self.model = AutoModel.from_config(settings, **without_pooler)
        except RelevanceError as error:
            raise ModelError(f"text encoder: {error}") from error
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError("text encoder " + explain_unavailable(model, error)) from error
        if len(self.tokenizer) > settings.vocab_size:
            raise ModelError(
                f"text encoder: the tokenizer of '{model}' has {len(self.tokenizer)} tokens, but config.vocab_size is "
                f"{settings.vocab_size}; raise it"
            )
        self.model.train()
        self.dim = int(settings.hidden_size)
        self.pooling: Literal["first", "mean"] = pooling
        self.max_tokens = max_tokens
        self.normalise_captions = normalise_captions

    def forward(self, captions: list[str]) -> Tensor:
        """Like `TextEncoder.forward`; tokens are padded to the longest caption of the batch."""
        if self.normalise_captions:
            captions = [normalise_caption(caption) for caption in captions]
        tokens = self.tokenizer(
            captions, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        ).to(self.model.device)
        hidden = self.model(**tokens).last_hidden_state  # (C, L, D)
        return pool_tokens(hidden, tokens["attention_mask"], self.pooling)


def _takes_pooling_flag(settings: Any) -> bool:
    """Whether the model's constructor knows `add_pooling_layer`."""
    model_class: Any = MODEL_MAPPING.get(type(settings), None)
    return model_class is not None and "add_pooling_layer" in inspect.signature(model_class).parameters
