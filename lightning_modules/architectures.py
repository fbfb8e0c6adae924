"""Whether padding changes what a Hugging Face model gives for an input: found by running it, and avoided.

Attention masks hide padding from attention alone. Convolutions, norms and positions of some architectures see it, so
that a clip beside a longer one gets another vector than the same clip alone. Which do is not written anywhere, so
every model is tried on two short inputs when it is built; those that see padding get inputs of one length at a time.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from common.errors import ModelError

TOLERANCE = 1e-4
"""Relative difference of two vectors that are the same but for rounding."""


def sees_padding(encode: Callable[[list[int]], Tensor], inputs: int) -> bool:
    """Whether inputs of unequal lengths together give other vectors than each of them alone, or none at all.

    Args:
        encode: from numbers of inputs to vectors (n, D); what it raises for one input is raised here.
        inputs: how many there are.
    """
    alone = torch.cat([encode([number]) for number in range(inputs)])
    try:
        together = encode(list(range(inputs)))
    except Exception:  # extractors cannot stack what they do not pad; models refuse in ways of their own
        return True
    difference = (together - alone).norm(dim=1) / alone.norm(dim=1).clamp_min(1e-12)
    return not bool((difference < TOLERANCE).all())


def in_groups(encode: Callable[[Tensor], Tensor], lengths: Tensor) -> Tensor:
    """Vectors (N, D) of N inputs, those of equal length at a time.

    Args:
        encode: from rows (n,) int64 of inputs of one length to their vectors (n, D).
        lengths: of each input, (N,) int64.

    >>> in_groups(lambda rows: 10.0 * rows[:, None], torch.tensor([3, 1, 3])).tolist()
    [[0.0], [10.0], [20.0]]
    """
    groups = [(lengths == length).nonzero()[:, 0] for length in lengths.unique()]
    vectors = torch.cat([encode(rows) for rows in groups])
    return vectors[torch.cat(groups).argsort()]


def check_whole(name: str, report: Mapping[str, Any], whole: nn.Module, tower: nn.Module) -> None:
    """Whether a checkpoint has all weights of a model's tower.

    Args:
        name: of the checkpoint, for the message.
        report: of transformers on its loading.
        whole: the model that was loaded.
        tower: the part of it that is used.

    Raises:
        ModelError: it has not.
    """
    used = {id(parameter) for parameter in tower.parameters()}
    named = {key for key, parameter in whole.named_parameters() if id(parameter) in used}
    if missing := sorted(named & set(report["missing_keys"])):
        raise ModelError(
            f"the weights of '{name}' are missing {len(missing)} tensors of its {type(tower).__name__} (e.g. "
            f"{missing[0]}); give the whole model as its authors published it"
        )


def tower_of(model: Any, names: tuple[str, ...]) -> nn.Module:
    """The first part of a model with several towers that has one of the names; of an encoder-decoder the encoder."""
    for name in names:
        if isinstance(tower := getattr(model, name, None), nn.Module):
            return tower
    encoder: nn.Module = model.get_encoder() if model.config.is_encoder_decoder else model
    return encoder
