"""Mixture of embedded experts."""

from collections.abc import Mapping

from torch import Tensor, nn

from lightning_modules.matchers.experts import ExpertMatcher
from lightning_modules.matchers.gated_units import GatedUnit
from lightning_modules.states import ExpertSize


class MixtureOfExperts(ExpertMatcher):
    """Each expert has a gated embedding unit of its own, and a space of its own as large as one of its frames.

    Relations: `CollaborativeExperts` lets experts see each other, and gives all of them the same size.

    Source: Miech et al. 2018, "Learning a text-video embedding from incomplete and heterogeneous data", equation 1, as
    Oncescu et al. 2021 implement it.
    """

    def connect_audio(self, experts: Mapping[str, ExpertSize]) -> dict[str, int]:
        """Make the units."""
        self.units = nn.ModuleDict({name: GatedUnit(size.pooled, size.frame) for name, size in experts.items()})
        return {name: size.frame for name, size in experts.items()}

    def embed_experts(self, vectors: dict[str, Tensor], present: Tensor) -> list[Tensor]:
        """Each by its unit."""
        return [self.units[name](vectors[name]) for name in self.names]
