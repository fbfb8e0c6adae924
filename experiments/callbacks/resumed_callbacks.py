"""What Lightning's callbacks forget when a run is resumed, or when they unfreeze a part of the model."""

import lightning as L
from lightning.pytorch.callbacks import BaseFinetuning, GradientAccumulationScheduler
from torch import nn


class ResumedCallbacks(L.Callback):
    """Stands behind Lightning's callbacks in the trainer's list, and does nothing without them.

    - `BaseFinetuning` freezes everything again when a run is resumed, and never trains it then: what the optimiser has
      is trained. What it freezes is in evaluation mode, and what it unfreezes in training mode.
    - `GradientAccumulationScheduler` sets its number at the beginning of an epoch, which a run that is resumed in the
      middle of one does not come to.
    """

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Train what the optimiser has."""
        if not _has(trainer, BaseFinetuning):
            return
        trained = {parameter for group in trainer.optimizers[0].param_groups for parameter in group["params"]}
        for module in pl_module.modules():
            for parameter in trained & set(module.parameters(recurse=False)):
                parameter.requires_grad_(True)
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.track_running_stats = True
        pl_module.train()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Accumulate as in the rest of the epoch."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, GradientAccumulationScheduler):
                trainer.accumulate_grad_batches = callback.get_accumulate_grad_batches(trainer.current_epoch)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put what was unfrozen into training mode."""
        if _has(trainer, BaseFinetuning):
            pl_module.train()


def _has(trainer: L.Trainer, kind: type) -> bool:
    return any(isinstance(callback, kind) for callback in trainer.callbacks)  # type: ignore[attr-defined]
