"""Pooling parts against loops, whatever lies in the padding; windows as states; each trains and ranks."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from common.errors import ModelError
from lightning_modules.audio_encoders.passt import PaSST
from lightning_modules.audio_encoders.windows import average_windows, random_stretches, window_states
from lightning_modules.matchers import Cosine
from lightning_modules.pooling import (
    AttentionPooling,
    GatedPooling,
    MaxPooling,
    MeanPooling,
    NetVLAD,
    Pooling,
    TransformerPooling,
)
from lightning_modules.states import States
from tests.support.learning import assert_learns, frames_and_words

LENGTHS = [2, 5, 1]
POOLINGS: dict[str, Callable[[], Pooling]] = {
    "mean": MeanPooling,
    "max": MaxPooling,
    "attention": lambda: AttentionPooling(4),
    "gated": lambda: GatedPooling(4),
    "netvlad": lambda: NetVLAD(3, padding="masked"),
    "transformer": lambda: TransformerPooling(2, 2, dropout=0.0),
}


def states(dim: int = 4) -> States:
    values = torch.randn(3, 5, dim, generator=torch.Generator().manual_seed(0))
    for row, length in zip(values, LENGTHS, strict=True):
        row[length:] = float("nan")  # must not be read
    return States(values, torch.tensor(LENGTHS))


def connected(name: str, dim: int = 4) -> Pooling:
    torch.manual_seed(1)
    pooling: Pooling = POOLINGS[name]()
    pooling.connect(dim)
    return pooling


def test_gated_pooling_against_a_loop() -> None:
    pooling = connected("gated")
    assert isinstance(pooling, GatedPooling)
    for row, length, pooled in zip(states().values, LENGTHS, pooling(states()), strict=True):
        scores = []
        for x in row[:length]:
            value = [math.tanh(float(v @ x + b)) for v, b in zip(pooling.value.weight, pooling.value.bias, strict=True)]
            gate = [
                1 / (1 + math.exp(-float(u @ x + b)))
                for u, b in zip(pooling.gate.weight, pooling.gate.bias, strict=True)
            ]
            scores.append(sum(float(w) * v * g for w, v, g in zip(pooling.score.weight[0], value, gate, strict=True)))
        weights = [math.exp(score) / sum(map(math.exp, scores)) for score in scores]
        expected = sum(weight * x for weight, x in zip(weights, row[:length], strict=True))
        torch.testing.assert_close(pooled, torch.as_tensor(expected), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", POOLINGS)
def test_a_vector_does_not_depend_on_its_batch(name: str) -> None:
    pooling = connected(name)
    pooling(states())  # batch statistics, where there are some
    pooling.eval()
    together = pooling(states())
    assert together.isfinite().all()
    for row, length in enumerate(LENGTHS):
        alone = pooling(States(states().values[row : row + 1, :length], torch.tensor([length])))
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["gated", "transformer"])
def test_all_weights_get_gradients(name: str) -> None:
    pooling = connected(name)
    (pooling(states()) * torch.randn(3, 4)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in pooling.parameters())


def test_a_transformer_knows_the_order_of_states() -> None:
    pooling = connected("transformer").eval()
    values = states().values[1:2]
    forwards, backwards = (pooling(States(each, torch.tensor([5]))) for each in (values, values.flip(1)))
    assert (forwards - backwards).abs().max() > 1e-3
    mean = connected("mean")
    torch.testing.assert_close(*(mean(States(each, torch.tensor([5]))) for each in (values, values.flip(1))))


def test_poolings_that_cannot_be() -> None:
    with pytest.raises(ModelError, match=r"^TransformerPooling: heads 3 do not divide 4, the size of the states"):
        TransformerPooling(heads=3).connect(4)
    with pytest.raises(ModelError, match=r"^TransformerPooling: dropout is 2; give a number from 0 to 1"):
        TransformerPooling(dropout=2)
    with pytest.raises(ModelError, match=r"^GatedPooling: hidden is 0"):
        GatedPooling(0)


def test_windows_as_states_have_the_mean_of_windows() -> None:
    embeddings = torch.randn(4, 3)
    present = torch.tensor([[True, False, False], [True, True, True]])
    found = window_states(embeddings, present)
    assert found.lengths.tolist() == [1, 3]
    assert torch.equal(found.values[1], embeddings[1:])
    torch.testing.assert_close(MeanPooling()(found), average_windows(embeddings, present))


@pytest.mark.slow
def test_windows_of_passt() -> None:
    sizes: dict[str, Any] = {"dim": 32, "depth": 1, "heads": 2}
    torch.manual_seed(0)
    mean = PaSST(**sizes).eval()
    apart = PaSST(**sizes, windows="none").eval()
    apart.load_state_dict(mean.state_dict())
    waveforms, lengths = 0.1 * torch.randn(2, 15 * 32_000), torch.tensor([15 * 32_000, 4 * 32_000])
    with torch.no_grad():
        found = apart(waveforms, lengths)
        assert isinstance(found, States)
        assert found.lengths.tolist() == [2, 1]
        torch.testing.assert_close(MeanPooling()(found), mean(waveforms, lengths))
    assert apart.hop_seconds == 10
    with pytest.raises(ModelError, match=r"^PaSST: windows is 'max': give one of mean, none"):
        PaSST(**sizes, windows="max")  # type: ignore[arg-type]


def test_random_stretches_lie_within_their_clips() -> None:
    waveforms, lengths = torch.arange(1.0, 21.0).repeat(50, 1), torch.tensor([20] * 25 + [7] * 25)
    torch.manual_seed(0)
    found, kept = random_stretches(waveforms, lengths, 0.5)
    assert kept.tolist() == [10] * 25 + [3] * 25
    starts = found[:, 0]
    for row, (start, count) in enumerate(zip(starts.tolist(), kept.tolist(), strict=True)):
        assert found[row, :count].tolist() == [start + i for i in range(count)]
        assert 1 <= start <= lengths[row] - count + 1
    assert starts[:25].min() == 1
    assert starts[:25].max() == 11


@pytest.mark.slow
@pytest.mark.parametrize("name", POOLINGS)
def test_a_pooling_trains_and_ranks(name: str, tmp_path: Path) -> None:
    make = POOLINGS[name]
    model = frames_and_words(matcher=lambda: Cosine(12), audio_pooling=make, text_pooling=make)
    before = {key: value.clone() for key, value in model.named_parameters() if "pooling" in key}
    assert_learns(model, tmp_path, 6)
    assert all(not torch.equal(before[key], value) for key, value in model.named_parameters() if key in before)
    assert isinstance(model.audio_pooling, nn.Module)
