"""Two gloo processes that distil against one process, and what a training step logs of its targets."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from datamodules.batch import Batch
from lightning_modules.dual_encoder import DualEncoder
from tests.support.gradients import BATCH, Outcome, assert_same, outcome
from tests.support.ranks import on_ranks
from tests.support.teachers import correspondences, distilling, taught
from tests.support.tiny import TinyData, tiny_model


def stepped(batch: Batch) -> tuple[DualEncoder, torch.Tensor, dict[str, float]]:
    """A model after a backward pass, its loss, and what it logged."""
    model, logged = tiny_model(distilling(), taught()), {}
    model.log = lambda name, value, **options: logged.update({name: float(torch.as_tensor(value).detach())})  # type: ignore[method-assign, assignment]
    loss = model.training_step(batch, 0)
    loss.backward()
    return model, loss, logged


def work(rank: int) -> Outcome:
    model, loss, _ = stepped(TinyData().pairs(BATCH[4 * rank : 4 * rank + 4]))
    found = outcome(model, loss)
    for value in found.values():  # what DDP does, of the loss and of each gradient
        dist.all_reduce(value)
        value /= 2
    return found


def test_two_ranks_give_the_loss_and_the_gradients_of_one(tmp_path: Path) -> None:
    model, loss, _ = stepped(TinyData().pairs(BATCH))
    for rank in on_ranks(work, tmp_path):
        assert_same(rank, outcome(model, loss))


def test_the_entropy_of_the_targets_and_their_mass_off_the_pair_are_logged() -> None:
    *_, logged = stepped(TinyData().pairs(BATCH))
    estimates = torch.tensor(correspondences(BATCH, dict.fromkeys("abc", 1.0)))
    targets = [torch.softmax(values / distilling().tau, dim=1) for values in (estimates, estimates.T)]
    off = sum(float(1 - target.diagonal().mean()) for target in targets) / 2
    entropy = sum(float(torch.special.entr(target).sum(1).mean()) for target in targets) / 2
    assert logged["train/target_off_pair"] == pytest.approx(off, abs=1e-5)
    assert logged["train/target_entropy"] == pytest.approx(entropy, abs=1e-5)
