"""Pretrained pairs: an audio and a text tower that share a space already, out of one checkpoint."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common.token_limits import count_cut
from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.matchers import Matcher, Projected
from lightning_modules.pairs.training_data import PUBLISHED
from lightning_modules.text_encoders.base import TextEncoder


class Pair:
    """Both encoders of a checkpoint, with their projections, and how it compares what they give.

    It is no module: a `DualEncoder` takes its parts, so that everything that works on encoders works on these.

    Attributes:
        name: as the config gives it.
        audio: waveforms to vectors (B, D) in the shared space.
        text: captions to vectors (C, D) in it.
        matcher: compares them as the checkpoint's authors do.
        tau: the checkpoint's temperature, at which a trained temperature begins; None where it has none.
        trained_on: data sets and sources of the recordings it was trained on, such as "clotho train" or "freesound".
    """

    name: str
    audio: AudioEncoder
    text: TextEncoder
    matcher: Matcher
    tau: float | None = None
    trained_on: tuple[str, ...] = ()

    def __init__(self, name: str, trained_on: Sequence[str] | None = None) -> None:
        self.name = name
        self.trained_on = PUBLISHED.get(name, ()) if trained_on is None else tuple(trained_on)
        self.matcher = Projected()


class TokenizedText(TextEncoder):
    """A text tower behind a Hugging Face tokenizer; a subclass says in `embed` what its vector is.

    Args:
        model: the tower, with its projection.
        tokenizer: its own.
        max_tokens: longer captions are cut.
        dim: size of the vectors.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, max_tokens: int, dim: int) -> None:
        super().__init__()
        self.model, self.tokenizer, self.max_tokens, self.dim = model, tokenizer, max_tokens, dim

    def forward(self, captions: list[str]) -> Tensor:
        """Like `TextEncoder.forward`."""
        tokens = self.tokenizer(
            self.prepared(captions),
            padding=True,
            padding_side="right",
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        ).to(next(self.parameters()).device)
        return self.embed(tokens["input_ids"], tokens["attention_mask"])

    def prepared(self, captions: list[str]) -> list[str]:
        """The captions as the tokenizer reads them."""
        return captions

    def embed(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Vectors (C, D) of tokens (C, L) int64 and their mask (C, L), 1 for tokens and 0 for padding."""
        raise NotImplementedError

    def count_cut(self, captions: Sequence[str]) -> int:
        """How many captions have more than `max_tokens` tokens."""
        return count_cut(self.prepared(list(captions)), self.tokenizer, self.max_tokens)


def freeze_unused(encoder: AudioEncoder | TextEncoder, example: Sequence[Any]) -> None:
    """Freeze what gets no gradient, such as the branches of a fusion that is never on: DDP refuses such parameters.

    Args:
        encoder: goes into training mode.
        example: arguments of its `forward`.
    """
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    if not trained:
        return
    encoder.eval()  # training would change running means
    with torch.enable_grad():
        vectors = encoder(*example)
        gradients = torch.autograd.grad(vectors.sum(), trained, allow_unused=True)
    for parameter, gradient in zip(trained, gradients, strict=True):
        parameter.requires_grad_(gradient is not None)
    encoder.train()
