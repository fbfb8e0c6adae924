"""NetVLAD and the maximum against loops, and what padding does."""

import numpy as np
import pytest
import torch

from common.errors import ModelError
from lightning_modules.pooling import MaxPooling, NetVLAD
from lightning_modules.states import States

LENGTHS = [2, 5, 1]


def states() -> States:
    values = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    for row, length in zip(values, LENGTHS, strict=True):
        row[length:] = float("nan")  # must not be read
    return States(values, torch.tensor(LENGTHS))


def connected(longest: int = 7, **options: int | str) -> NetVLAD:
    torch.manual_seed(1)
    pooling = NetVLAD(3, **options)  # type: ignore[arg-type]
    assert pooling.connect(4, longest) == 12
    with torch.no_grad():
        pooling.norm.weight.uniform_(0.5, 2)
        pooling.norm.bias.uniform_(-1, 1)
    return pooling


def by_hand(pooling: NetVLAD, rows: list[np.ndarray]) -> list[np.ndarray]:
    """NetVLAD of inputs (L, D) in training mode, word by word."""
    weights, centres = pooling.assignment.detach().double().numpy(), pooling.centres.detach().double().numpy()
    logits = np.concatenate(rows) @ weights
    scale, shift = pooling.norm.weight.detach().double().numpy(), pooling.norm.bias.detach().double().numpy()
    mean, deviation = logits.mean(0), np.sqrt(logits.var(0) + pooling.norm.eps)
    found = []
    for row in rows:
        vlad = np.zeros((4, 3))
        for x in row:
            logit = (x @ weights - mean) / deviation * scale + shift
            assigned = np.exp(logit) / np.exp(logit).sum()
            for k in range(3):
                vlad[:, k] += assigned[k] * (x - centres[:, k])
        vlad /= np.linalg.norm(vlad, axis=0)
        found.append(vlad.flatten() / np.linalg.norm(vlad))
    return found


@pytest.mark.parametrize("ghosts", [0, 2])
@pytest.mark.parametrize("padding", ["counted", "masked"])
def test_netvlad_against_a_loop(padding: str, ghosts: int) -> None:
    pooling = connected(ghosts=ghosts, padding=padding)
    rows = [row[:n].double().numpy() for row, n in zip(states().values, LENGTHS, strict=True)]
    if padding == "counted":
        rows = [np.concatenate([row, np.zeros((7 - len(row), 4))]) for row in rows]
    np.testing.assert_allclose(pooling(states()).detach().numpy(), by_hand(pooling, rows), atol=1e-5)


@pytest.mark.parametrize("padding", ["counted", "masked"])
def test_a_vector_does_not_depend_on_its_batch(padding: str) -> None:
    pooling = connected(padding=padding)
    pooling(states())
    pooling.eval()
    together = pooling(states())
    for row, length in enumerate(LENGTHS):
        alone = pooling(States(states().values[row : row + 1, :length], torch.tensor([length])))
        torch.testing.assert_close(alone[0], together[row])


def test_weights_get_gradients() -> None:
    pooling = connected(ghosts=1)
    (pooling(states()) * torch.randn(3, 12)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in pooling.parameters())


def test_padding_is_not_counted_without_a_longest_length() -> None:
    with pytest.raises(ModelError, match=r"^NetVLAD counts padding, so it has to know how long inputs can be"):
        NetVLAD(3).connect(4)
    with pytest.raises(ModelError, match=r"^NetVLAD: padding is 'none': give one of counted, masked"):
        NetVLAD(3, padding="none")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"^NetVLAD: clusters is 0"):
        NetVLAD(0)


def test_the_maximum_of_states() -> None:
    found = MaxPooling()(states())
    for row, length in enumerate(LENGTHS):
        assert torch.equal(found[row], states().values[row, :length].amax(0))
