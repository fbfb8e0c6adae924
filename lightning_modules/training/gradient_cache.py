"""Batches larger than memory: encoders see them a chunk at a time, and once more when gradients are wanted."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from common.errors import ModelError


def encode_in_chunks(encode: Callable[..., Tensor], chunk: int | None, *inputs: Tensor | Sequence[str]) -> Tensor:
    """What `encode(*inputs)` gives, (N, D), with the activations of one chunk in memory instead of those of all N.

    The forward pass keeps each chunk's output only; the backward pass runs the chunk again, with the same random
    numbers, from the last one to the first. So gradients are exact: those of the loss over the whole batch, as in
    GradCache (Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup"), for a second
    forward pass. Nothing is done twice where no gradient is wanted.

    Args:
        encode: from rows of the inputs to (n, D). It must treat rows apart: with batch normalisation, whose statistics
            are the chunk's, the result is another one.
        chunk: rows at a time; None: all at once.
        inputs: of N rows each.
    """
    rows = len(inputs[0])
    if chunk is None or chunk >= rows or not torch.is_grad_enabled():
        return encode(*inputs)
    parts = [
        checkpoint(encode, *(value[start : start + chunk] for value in inputs), use_reentrant=False)
        for start in range(0, rows, chunk)
    ]
    return torch.cat(parts)


def check_chunk(chunk: int, *encoders: nn.Module) -> None:
    """Whether encoders may see a batch in chunks.

    Raises:
        ModelError: there would be none in a chunk, or an encoder normalises over the batch.
    """
    if chunk < 1:
        raise ModelError(f"model.chunk is {chunk}: give at least 1, or null for whole batches")
    for encoder in encoders:
        if not any(parameter.requires_grad for parameter in encoder.parameters()):
            continue  # a frozen encoder normalises by statistics of its own
        if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in encoder.modules()):
            raise ModelError(
                f"model.chunk is {chunk}, but {type(encoder).__name__} has batch normalisation, whose statistics would "
                "be a chunk's; leave model.chunk out, or take an encoder with layer normalisation"
            )
