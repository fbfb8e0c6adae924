"""A moving average of the trained weights that says what is relevant in each batch: momentum distillation."""

import copy
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from common.errors import ModelError
from datamodules.batch import Batch
from lightning_modules.distributed import gather_ids, gather_with_gradient
from lightning_modules.dual_encoder import DualEncoder, embedding_parts
from relevance.targets.own_average import OwnAverage


class MomentumTeacher(L.Callback):
    """Keeps the average that each `OwnAverage` of the model's relevance looks up, and lets it embed each batch.

    It begins as a copy of the model, follows after each step of the optimiser, and is part of checkpoints.

    Raises:
        ModelError: (at the start of training) the model gives no unit vectors, or there is no `OwnAverage`, or two have
            different momenta.
    """

    def __init__(self) -> None:
        self._average: DualEncoder | None = None
        self._tensors: dict[str, tuple[Tensor, Tensor]] = {}
        self._saved: dict[str, Tensor] = {}
        self._steps = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin the average, or continue that of a checkpoint."""
        assert isinstance(pl_module, DualEncoder)
        if not pl_module.matcher.unit_length:
            kind = type(pl_module.matcher).__name__
            raise ModelError(f"OwnAverage compares unit vectors, which {kind} does not give; take the matcher Cosine")
        if len({part.momentum for part in _learners(pl_module)}) != 1:
            raise ModelError("MomentumTeacher needs an OwnAverage in model.relevance, and one momentum for all of them")
        average = copy.copy(pl_module)
        copies = {
            name: copy.deepcopy(part).requires_grad_(False).eval() for name, part in embedding_parts(pl_module).items()
        }
        average._modules = {**pl_module._modules, **copies}  # all else is the model's own
        self._average = average
        self._tensors = _followed(pl_module, average)
        for name, (_, averaged) in self._tensors.items():
            if name in self._saved:
                averaged.copy_(self._saved[name])
        self._steps = trainer.global_step

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Let the average embed the batch, of all devices."""
        assert self._average is not None
        assert isinstance(pl_module, DualEncoder)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            recordings, text = self._average.embed(batch)  # (a, D), (b, D)
            audio = recordings[batch.caption_audio]  # (b, D)
            held = gather_ids(batch.caption_ids), gather_with_gradient(text), gather_with_gradient(audio)
        for part in _learners(pl_module):
            part.take(*held)

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Follow the model, after a step of the optimiser."""
        if trainer.global_step == self._steps:
            return
        assert isinstance(pl_module, DualEncoder)
        self._steps = trainer.global_step
        momentum = _learners(pl_module)[0].momentum
        for now, average in self._tensors.values():
            if isinstance(now, nn.Parameter):
                average.lerp_(now, 1 - momentum)
            else:  # statistics, which are averages already, and counts
                average.copy_(now)

    def state_dict(self) -> dict[str, Any]:
        """The average, for a checkpoint."""
        return {"average": {name: average for name, (_, average) in self._tensors.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a checkpoint's average, to begin with."""
        self._saved = state_dict.get("average", {})


def _learners(model: DualEncoder) -> list[OwnAverage]:
    return [part for part in model.relevance.modules() if isinstance(part, OwnAverage)]


def _prefixed(part: str, module: nn.Module) -> dict[str, Tensor]:
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return {f"{part}.{name}": tensor for name, tensor in tensors}


def _followed(model: DualEncoder, average: DualEncoder) -> dict[str, tuple[Tensor, Tensor]]:
    """Each tensor that training changes, of the model and of its average, by name."""
    found = {}
    for part, module in embedding_parts(model).items():
        theirs = _prefixed(part, getattr(average, part))
        for name, tensor in _prefixed(part, module).items():
            if tensor.requires_grad or not isinstance(tensor, nn.Parameter):
                found[name] = (tensor, theirs[name])
    return found
