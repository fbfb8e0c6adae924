"""NetVLAD: how states differ from the centres of clusters that are learned."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.pooling.base import Pooling
from lightning_modules.states import States

Padding = Literal["counted", "masked"]


class NetVLAD(Pooling):
    """K sums of differences from K centres, one after another, each normalised and then all together.

    With assignments a = softmax(BN(x W)) over K + G clusters and the ghosts G dropped after it, vlad_k =
    sum_n a_nk x_n - (sum_n a_nk) c_k. The vectors have D x K dimensions, index d K + k.

    Args:
        clusters: K.
        ghosts: G, clusters that take what says nothing (stop words, silence).
        padding: "counted" pads with zeros to the longest length that the encoder can give (`max_words`,
            `max_frames`), and these count as states, as in the published code; "masked" ignores padding.

    Raises:
        ModelError: clusters or ghosts out of range, another padding, or (in `connect`) padding is to be counted, but
            no longest length is known: a vector would depend on its batch.

    Source: Arandjelovic et al. 2016, "NetVLAD: CNN architecture for weakly supervised place recognition", equation 4;
    Zhong et al. 2018, "GhostVLAD for set-based face recognition"; sizes of Oncescu et al. 2021: 16 clusters for audio,
    20 and a ghost for captions.
    """

    def __init__(self, clusters: int = 16, ghosts: int = 0, padding: Padding = "counted") -> None:
        super().__init__()
        check_numbers(ModelError, "NetVLAD", 1, clusters=clusters)
        check_numbers(ModelError, "NetVLAD", 0, ghosts=ghosts)
        if padding not in get_args(Padding):
            raise ModelError(f"NetVLAD: padding is '{padding}': give one of {', '.join(get_args(Padding))}")
        self.clusters, self.ghosts, self.padding = clusters, ghosts, padding
        self.longest: int | None = None

    def connect(self, dim: int, longest: int | None = None) -> int:
        """Make W, c and the batch normalisation."""
        if self.padding == "counted" and longest is None:
            raise ModelError(
                "NetVLAD counts padding, so it has to know how long inputs can be: give the encoder max_words, "
                "max_tokens or max_frames, or padding: masked"
            )
        self.longest = longest
        self.assignment = nn.Parameter(torch.randn(dim, self.clusters + self.ghosts) / dim**0.5)  # W
        self.norm = nn.BatchNorm1d(self.clusters + self.ghosts)
        self.centres = nn.Parameter(torch.randn(dim, self.clusters) / dim**0.5)  # c
        return dim * self.clusters

    def forward(self, states: States) -> Tensor:
        """The vectors (B, D K), of unit length; float32."""
        mask = states.mask  # (B, L)
        values = states.values.masked_fill(~mask[:, :, None], 0)
        with torch.autocast(values.device.type, enabled=False):
            values = values.to(self.assignment.dtype)
            if self.padding == "counted":
                assert self.longest is not None
                values = F.pad(values, (0, 0, 0, self.longest - values.shape[1]))  # (B, longest, D); cut if longer
                assigned = self._assigned(values.flatten(0, 1)).view(*values.shape[:2], -1)
            else:
                assigned = values.new_zeros(*mask.shape, self.clusters)
                assigned[mask] = self._assigned(values[mask])
            vlad = torch.einsum("bnd,bnk->bdk", values, assigned) - assigned.sum(1)[:, None] * self.centres
            return F.normalize(F.normalize(vlad, dim=1).flatten(1), dim=1)

    def _assigned(self, values: Tensor) -> Tensor:
        """Assignments (n, K) of states (n, D)."""
        return torch.softmax(self.norm(values @ self.assignment), dim=1)[:, : self.clusters]
