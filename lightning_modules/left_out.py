"""Checkpoints without the weights that are not trained: their pretrained source gives them when the model is built.

A tensor is left out only where it is, bit for bit, what the source gave; its checksum stays in the checkpoint, and is
compared when the checkpoint is read.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.errors import ModelError

KEY = "left_out"
"""Under which a checkpoint has the checksums of what it leaves out, by name."""
STATES = {"state_dict", "current_model_state"}
"""Where a checkpoint has weights; the second is what a `WeightAveraging` callback averages."""


def checksum(tensor: Tensor) -> str:
    """SHA-256 of a tensor's type, shape and values."""
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def frozen_checksums(module: nn.Module) -> dict[str, str]:
    """Checksums, by name, of the weights that a pretrained source gave and that are not trained."""
    return {
        f"{part}.{name}": checksum(parameter)
        for part, encoder in module.named_children()
        if getattr(encoder, "source", None) is not None
        for name, parameter in encoder.named_parameters()
        if not parameter.requires_grad
    }


def leave_out(checkpoint: dict[str, Any], given: Mapping[str, str]) -> None:
    """Take out of a checkpoint, in place, what its source can give again: what has the checksum it was `given` with."""
    states = [checkpoint[key] for key in STATES if key in checkpoint]
    same = {name: sum_ for name, sum_ in given.items() if all(checksum(state[name]) == sum_ for state in states)}
    for key in STATES:
        if key in checkpoint:
            checkpoint[key] = {name: value for name, value in checkpoint[key].items() if name not in same}
    checkpoint[KEY] = same


def completed(
    state: Mapping[str, Tensor], left_out: Mapping[str, str], own: Mapping[str, Tensor], path: str | Path
) -> dict[str, Tensor]:
    """Weights of a checkpoint with those that it leaves out, taken from a model that was built from the same source.

    Args:
        state: weights in the checkpoint.
        left_out: checksums of what it leaves out, by name.
        own: the model's weights.
        path: of the checkpoint, for messages.

    Raises:
        ModelError: the source now gives other weights, or the model has none of such a name.
    """
    plain = {name.replace(".base_layer.", "."): value for name, value in own.items()}  # beside adapters
    taken = {name: own.get(name, plain.get(name)) for name in left_out}
    other = [name for name, value in taken.items() if value is None or checksum(value) != left_out[name]]
    if other:
        raise ModelError(
            f"{path}: leaves out {len(left_out)} weights that were not trained, and the pretrained model of "
            f"{other[0].partition('.')[0]} does not give {len(other)} of them as it did in training (e.g. {other[0]}); "
            "give the model that it was trained with"
        )
    return {**state, **{name: value for name, value in taken.items() if value is not None}}
