"""Collaborative experts."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.matchers.experts import ExpertMatcher
from lightning_modules.matchers.gated_units import Gate, MutualGate
from lightning_modules.states import ExpertSize


class CollaborativeExperts(ExpertMatcher):
    """Experts of one size, each gated by what it says together with every expert.

    r_e = norm(W_e x_e + b_e); m_e is the mean of g(r_e, r_f) over the experts f that a recording has, where g is a
    network that all pairs share; a_e = norm(r_e * sigmoid(BN(m_e) + BN'(V_e r_e))). A single expert is gated by itself.

    Args:
        dim: of each expert.
        g_layers: linear layers of g.
        include_self: whether f = e counts.
        in_turn: gate the experts one after another in alphabetical order, where later ones see the earlier ones as
            gated already. So the published code does; false lets each see all others ungated, as the paper has it.

    Raises:
        ModelError: numbers out of range.

    Relations: without g it is `MixtureOfExperts` in spaces of one size.

    Source: Liu et al. 2019, "Use what you have: video retrieval using representations from collaborative experts",
    equations 2 to 5, as Oncescu et al. 2021 implement it.
    """

    def __init__(self, dim: int = 768, g_layers: int = 3, include_self: bool = True, in_turn: bool = True) -> None:
        super().__init__()
        check_numbers(ModelError, "CollaborativeExperts", 1, dim=dim, g_layers=g_layers)
        self.dim, self.g_layers, self.include_self, self.in_turn = dim, g_layers, include_self, in_turn

    def connect_audio(self, experts: Mapping[str, ExpertSize]) -> dict[str, int]:
        """Make the reductions, g and the gates."""
        self.reductions = nn.ModuleDict({name: nn.Linear(size.pooled, self.dim) for name, size in experts.items()})
        alone = len(experts) == 1
        self.gates = nn.ModuleDict({name: Gate(self.dim) if alone else MutualGate(self.dim) for name in experts})
        if not alone:
            layers: list[nn.Module] = [nn.Linear(2 * self.dim, self.dim)]
            for _ in range(self.g_layers - 1):
                layers += [nn.BatchNorm1d(self.dim), nn.Mish(), nn.Linear(self.dim, self.dim)]
            self.g = nn.Sequential(*layers)
        return dict.fromkeys(experts, self.dim)

    def embed_experts(self, vectors: dict[str, Tensor], present: Tensor) -> list[Tensor]:
        """Each gated by its pairs, or by itself if it is alone."""
        reduced = {name: F.normalize(self.reductions[name](vectors[name]).float(), dim=1) for name in self.names}
        if len(self.names) == 1:
            return [self.gates[name](reduced[name]) for name in self.names]
        here = dict(zip(self.names, present.float().split(1, dim=1), strict=True))  # (A, 1) each
        gated: dict[str, Tensor] = {}
        for name in self.names:
            seen = reduced | gated if self.in_turn else reduced
            others = [other for other in self.names if self.include_self or other != name]
            pairs = [here[name] * here[other] for other in others]  # whether a recording has both
            said = [self.g(torch.cat((seen[name], seen[other]), dim=1)) for other in others]  # (A, D) each
            total = torch.stack([pair * each for pair, each in zip(pairs, said, strict=True)]).sum(0)
            mask = total / torch.stack(pairs).sum(0).clamp_min(1)
            gated[name] = self.gates[name](reduced[name], mask)
        return [gated[name] for name in self.names]
