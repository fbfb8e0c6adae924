"""Low-rank adapters: fine-tuning of a pretrained model whose own weights stay as they are.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685; through the library peft.
"""

import math
from dataclasses import dataclass
from typing import Any

from torch import nn

from common.errors import ModelError

QUERY_VALUE = ("query", "value", "q_proj", "v_proj", "q_lin", "v_lin", "q", "v", "qkv", "Wqkv")
"""What models call the projections to queries and values, or the one layer that gives queries, keys and values."""


@dataclass(frozen=True)
class LoRA:
    """Adapters of linear layers: W x becomes W x + (alpha / rank) B A x, and A and B alone are trained.

    A (rank, inputs) begins as random numbers and B (outputs, rank) as zeros, so that a model with new adapters is the
    model without them. Adapters are float32, whatever autocast does.

    Attributes:
        rank: of the product B A.
        alpha: the strength of the adapters, as `alpha / rank`.
        dropout: of the adapters' inputs in training. What the model has itself (dropout, PaSST's patchout) is as
            without LoRA.
        layers: names of the linear layers, the last part of their full name or more of it ("query", or
            "layer.11.attention.self.query"); None takes the projections to queries and values (in PaSST the one layer
            `qkv` for queries, keys and values).

    Source of the defaults: Hu et al. 2021, what they take for RoBERTa-large.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    layers: tuple[str, ...] | None = None


def add_lora(model: nn.Module, lora: LoRA, name: str) -> None:
    """Put adapters into `model`, in place, and freeze all else of it.

    A layer's own weights are then called `LAYER.base_layer.weight`, its adapters `LAYER.lora_A.default.weight` and
    `LAYER.lora_B.default.weight`.

    Args:
        model: with its weights loaded.
        lora: what to add.
        name: of the encoder, for messages.

    Raises:
        ModelError: peft is not installed, a number is out of range, or the model has no such linear layer.
    """
    for setting, allowed in (
        ("rank", lora.rank >= 1),
        ("alpha", 0 < lora.alpha < math.inf),
        ("dropout", 0 <= lora.dropout < 1),
    ):
        if not allowed:
            raise ModelError(
                f"{name}: lora.{setting} is {getattr(lora, setting):g}; give a rank from 1, an alpha above 0, and a "
                "dropout from 0 to below 1"
            )
    targets = linear_layers(model, lora.layers, name)
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ModelError(
            f"{name}: lora needs peft ({error}); pip install 'audio-relevance[lora]', or leave lora out"
        ) from error
    alpha: Any = lora.alpha  # peft says int, and divides by the rank
    inject_adapter_in_model(
        LoraConfig(r=lora.rank, lora_alpha=alpha, lora_dropout=lora.dropout, target_modules=targets), model
    )


def linear_layers(model: nn.Module, wanted: tuple[str, ...] | None, name: str = "model") -> list[str]:
    """Full names of the linear layers of `model` that are `wanted`, or of those to queries and values.

    >>> linear_layers(nn.ModuleDict({"query": nn.Linear(2, 2), "key": nn.Linear(2, 2)}), None)
    ['query']

    Raises:
        ModelError: it has no layer of one of the names; the message lists those there are.
    """
    linear = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    found = {end: [path for path in linear if f".{path}".endswith(f".{end}")] for end in wanted or QUERY_VALUE}
    missing = [end for end in wanted or () if not found[end]]
    if missing or not any(found.values()):
        there = ", ".join(sorted({path.rpartition(".")[2] for path in linear})) or "none"
        raise ModelError(
            f"{name}: lora.layers: no linear layer is called {' or '.join(missing or QUERY_VALUE)}; there are: {there}"
        )
    return sorted({path for paths in found.values() for path in paths})
