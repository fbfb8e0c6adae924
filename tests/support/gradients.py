"""Losses and gradients to compare: of one batch, in one process or shared over ranks."""

import torch
from torch import Tensor, nn

from datamodules.batch import Batch
from lightning_modules.dual_encoder import DualEncoder

# Captions of recordings 0, 1, 2, 3 | 1, 4, 0, 5: two recordings are there on both of two ranks, with other captions.
BATCH = [0, 2, 5, 9, 3, 11, 1, 15]
Outcome = dict[str, Tensor]


def outcome(model: DualEncoder, loss: Tensor) -> Outcome:
    """The loss and all parameters' gradients."""
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(gradient is not None for gradient in gradients.values())
    return {"loss": loss.detach(), **gradients}  # type: ignore[dict-item]


def assert_same(ours: Outcome, theirs: Outcome) -> None:
    """Each entry to 1e-6 of the whole gradient's norm, which float32 needs where sums are made in another order.

    A wrong factor on any one parameter would be far above that.
    """
    assert ours.keys() == theirs.keys()
    whole = torch.cat([gradient.flatten() for gradient in theirs.values()]).norm()
    for name, expected in theirs.items():
        assert expected.norm() > 1e-3 * whole, name  # else there is nothing to compare
        assert (ours[name] - expected).norm() < 1e-6 * whole, name


class Step(nn.Module):
    """A training step as DDP wraps it."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        return self.model.training_step(batch, 0)
