"""Batch normalisation on several devices: what `trainer.sync_batchnorm` makes of the models, and where it cannot.

PyTorch's own code for it runs on GPUs only. So the tests convert models as Lightning does, and then compute the
statistics of all ranks plainly, from sums.
"""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.nn
from torch import Tensor, nn

from lightning_modules.audio_encoders import SmallCNN
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import CollaborativeExperts, MixtureOfExperts
from lightning_modules.training.freezing import Freezable
from tests.support.command_line import refused
from tests.support.experts import ExpertData, expert_model
from tests.support.ranks import on_ranks
from tests.support.runs import arguments

BATCH = [0, 2, 5, 9, 13, 17]  # captions of six recordings


def synchronised(model: nn.Module) -> nn.Module:
    """What Lightning does where `trainer.sync_batchnorm` is true."""
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return converted


def plain_forward(self: nn.SyncBatchNorm, values: Tensor) -> Tensor:
    """Normalisation (B, D, ...) by the mean and variance of all ranks' values, which may be unequally many."""
    axes = [0, *range(2, values.ndim)]
    shape = (1, -1, *[1] * (values.ndim - 2))
    wide = values.double()
    one = torch.full_like(wide.sum(axes), values.numel() / values.shape[1])
    sums = torch.distributed.nn.functional.all_reduce(torch.stack([one, wide.sum(axes), wide.square().sum(axes)]))
    mean = sums[1] / sums[0]
    variance = sums[2] / sums[0] - mean.square()
    normed = (wide - mean.view(shape)) / (variance + self.eps).sqrt().view(shape)
    return normed.to(values.dtype) * self.weight.view(shape) + self.bias.view(shape)


def step(model: nn.Module, ids: list[int]) -> dict[str, Tensor]:
    assert isinstance(model, DualEncoder)
    loss = model.training_step(ExpertData().pairs(ids), 0)
    loss.backward()
    return {"loss": loss.detach(), **{name: p.grad for name, p in model.named_parameters() if p.grad is not None}}


def on_a_rank(matcher: str, rank: int) -> dict[str, dict[str, Tensor]]:
    nn.SyncBatchNorm.forward = plain_forward  # type: ignore[method-assign, assignment]
    share = BATCH[3 * rank : 3 * rank + 3]
    return {"together": step(synchronised(model_of(matcher)), share), "apart": step(model_of(matcher), share)}


def model_of(matcher: str) -> DualEncoder:
    return expert_model(CollaborativeExperts(6) if matcher == "ce" else MixtureOfExperts())


@pytest.mark.slow
@pytest.mark.parametrize("matcher", ["ce", "moee"])
def test_two_ranks_that_share_statistics_equal_one(matcher: str, tmp_path: Path) -> None:
    ranks = on_ranks(partial(on_a_rank, matcher), tmp_path)
    whole = step(model_of(matcher), BATCH)
    means = {
        kind: {name: torch.stack([rank[kind][name] for rank in ranks]).mean(0) for name in whole}
        for kind in ("together", "apart")
    }
    for name, expected in whole.items():
        torch.testing.assert_close(means["together"][name], expected, rtol=1e-3, atol=1e-5)
    assert (means["apart"]["loss"] - whole["loss"]).abs() > 1e-3  # the statistics of three recordings are others


def test_a_converted_cnn_computes_the_same() -> None:
    torch.manual_seed(0)
    plain = SmallCNN(dim=8, width=2, dropout=0.0, time_masks=0, frequency_masks=0)
    waveforms, lengths = torch.randn(3, 16_000), torch.tensor([16_000, 12_000, 9_000])
    before = plain(waveforms, lengths)
    converted = synchronised(plain)
    assert any(isinstance(part, nn.SyncBatchNorm) for part in converted.modules())
    torch.testing.assert_close(converted(waveforms, lengths), before)


class Partly(Freezable):
    """A frozen network with batch normalisation, and a layer behind it that is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3))
        self.last = nn.BatchNorm1d(3)
        self.choose_trained(self.model, None, 0, None, lambda: None)

    def forward(self, values: Tensor) -> Tensor:
        out: Tensor = self.last(self.model(values))
        return out


def test_what_is_frozen_stays_so_when_it_is_converted() -> None:
    part: Any = synchronised(Partly()).train()
    assert type(part.model[0]).__name__ == "SyncBatchNorm"
    assert [module.training for module in (part.model[0], part.model[1], part.last)] == [False, False, True]
    part(torch.randn(5, 3) + 7)
    assert not part.model[0].running_mean.any()
    assert part.last.running_mean.any()


@pytest.mark.slow
def test_processes_without_gpus_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.sync_batchnorm", "true")
    assert refused(capsys, "fit", *arguments(tmp_path), *two) == (
        "error: trainer.sync_batchnorm is true, but PyTorch synchronises batch normalisations on GPUs only; leave it "
        "out, or train with one process (trainer.devices 1)"
    )
