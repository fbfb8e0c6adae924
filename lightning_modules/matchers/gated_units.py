"""Gated units: vectors whose dimensions are weighed by what they say together."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Gate(nn.Module):
    """norm(x * sigmoid(BN(W x + b))): (B, D) to unit vectors (B, D).

    Source: Miech et al. 2018, "Learning a text-video embedding from incomplete and heterogeneous data", equation 3.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, dim)
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, values: Tensor) -> Tensor:
        """Unit vectors, float32 whatever autocast does."""
        return F.normalize((values * torch.sigmoid(self.norm(self.linear(values)))).float(), dim=1)


class GatedUnit(nn.Sequential):
    """Gated embedding unit: (B, dim) to unit vectors (B, embedding_dim).

    Source: Miech et al. 2018, equations 2 to 4.
    """

    def __init__(self, dim: int, embedding_dim: int) -> None:
        super().__init__(nn.Linear(dim, embedding_dim), Gate(embedding_dim))


class MutualGate(nn.Module):
    """norm(x * sigmoid(BN(m) + BN(W x + b))): an expert's vectors (B, D), gated by what all experts say m (B, D).

    Source: Liu et al. 2019, "Use what you have: video retrieval using representations from collaborative experts",
    equation 5, with the terms that the authors' code adds.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, dim)
        self.norm = nn.BatchNorm1d(dim)
        self.mask_norm = nn.BatchNorm1d(dim)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Unit vectors, float32."""
        gate = self.mask_norm(mask) + self.norm(self.linear(values))
        return F.normalize((values * torch.sigmoid(gate)).float(), dim=1)
