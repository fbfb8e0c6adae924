"""States as one tensor of a fixed shape, so that they can be gathered over ranks and collected over a split."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.pooling.mean import MeanPooling
from lightning_modules.states import Encoded, States


def as_states(encoded: Encoded) -> States:
    """The states themselves, or a vector as the only state of its input."""
    if isinstance(encoded, States):
        return encoded
    assert isinstance(encoded, Tensor)  # `takes_experts` is false
    return States(encoded[:, None], torch.ones(len(encoded), dtype=torch.int64, device=encoded.device))


def as_vector(encoded: Encoded) -> Tensor:
    """The vectors (B, D) themselves, or the mean of states."""
    if isinstance(encoded, States):
        return MeanPooling()(encoded)  # type: ignore[no-any-return]
    assert isinstance(encoded, Tensor)
    return encoded


def fixed_length(states: States, most: int) -> States:
    """At most `most` states of each input, padded with zeros to exactly as many: (B, most, D).

    Where there are more, each is the mean of a stretch: state i of L goes into stretch floor(i most / L).

    >>> values = torch.tensor([[[1.0], [3.0], [5.0], [7.0]], [[2.0], [9.0], [9.0], [9.0]]])
    >>> fixed_length(States(values, torch.tensor([4, 1])), 2).values.squeeze(2).tolist()
    [[2.0, 6.0], [2.0, 0.0]]
    """
    lengths = states.lengths[:, None]  # (B, 1)
    place = torch.arange(states.values.shape[1], device=lengths.device)  # (L,)
    stretch = torch.where(lengths > most, place * most // lengths, place)  # (B, L)
    stretch = stretch.masked_fill(~states.mask, most)  # the padding goes into one that is left out
    members = F.one_hot(stretch, most + 1)[:, :, :most].to(states.values.dtype)  # (B, L, most)
    weights = members / members.sum(1, keepdim=True).clamp_min(1)
    values = states.values.masked_fill(~states.mask[:, :, None], 0)
    return States(torch.einsum("blm,bld->bmd", weights, values), states.lengths.clamp(max=most))


def pack(states: States) -> Tensor:
    """States (B, L, D) and behind each whether it is one: (B, L, D + 1) float32, zeros where there is none."""
    mask = states.mask[:, :, None]
    return torch.cat([states.values.float().masked_fill(~mask, 0), mask.float()], dim=2)


def pack_projected(encoded: Encoded, head: nn.Module, most: int) -> Tensor:
    """At most `most` states of each input through a head, packed: (B, most, D + 1)."""
    states = fixed_length(as_states(encoded), most)
    return pack(states._replace(values=head(states.values)))


def unpack(packed: Tensor) -> tuple[Tensor, Tensor]:
    """States (B, L, D), and which of them there are (B, L) bool, of what `pack` gave."""
    return packed[:, :, :-1], packed[:, :, -1] > 0.5


def mean_state(packed: Tensor) -> Tensor:
    """The mean (B, D) of packed states."""
    values, mask = unpack(packed)
    return values.sum(1) / mask.sum(1, keepdim=True)
