"""Projection heads: from an encoder's space into the one that audio and text share."""

from typing import Literal, get_args

from torch import nn

from common.errors import ModelError

Head = Literal["mlp", "linear"]


def projection_head(kind: Head, dim: int, embedding_dim: int) -> nn.Module:
    """Map (B, dim) to (B, embedding_dim).

    "mlp" is Linear, ReLU, Linear (code of Xie et al. 2024); "linear" is one Linear (DCASE 2024 and 2025 systems).

    Raises:
        ModelError: another kind.
    """
    check_head(kind)
    if kind == "linear":
        return nn.Linear(dim, embedding_dim)
    return nn.Sequential(nn.Linear(dim, embedding_dim), nn.ReLU(), nn.Linear(embedding_dim, embedding_dim))


def check_head(kind: str) -> None:
    """Refuse another kind of head.

    Raises:
        ModelError: it is none of `Head`.
    """
    if kind not in get_args(Head):
        raise ModelError(f"model.matcher.head is '{kind}': give one of {', '.join(get_args(Head))}")
