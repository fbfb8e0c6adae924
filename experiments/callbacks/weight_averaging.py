"""What Lightning's `WeightAveraging` callbacks (EMA among them) promise and do not keep of themselves."""

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn


class AveragedWeights(L.Callback):
    """Lets every evaluation and every checkpoint see averaged weights, where a `WeightAveraging` callback averages.

    Stands behind it in the trainer's list, and does nothing without one. Lightning alone

    - tests the weights that were not averaged after `fit`, as the callback still has its averages then;
    - averages whole numbers (positions of tokens, counts of batches), and cuts off what lies behind the point;
    - evaluates the first weights of all until averaging begins (`update_starting_at_step`);
    - takes the averages away before the module computes its validation loss (a trained temperature).
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Outside `fit` a checkpoint's weights, which are the averages, are all there is to load."""
        if stage != "fit":
            warnings.filterwarnings("ignore", ".*loading a checkpoint outside the 'fit' stage.*")
            for callback in _averaging(trainer):
                callback._average_model = None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Copy whole numbers; and everything, as long as nothing was averaged."""
        self._correct(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Like `on_train_batch_end`: callbacks may average here too."""
        self._correct(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the averages back in: the module's own hook comes after this one."""
        self._swap(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take them out again."""
        self._swap(trainer, pl_module)

    @staticmethod
    def _correct(trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for callback in _averaging(trainer):
            average = callback._average_model
            if average is None:
                continue
            begun = bool(average.n_averaged > 0)
            for averaged, current in zip(_tensors(average.module), _tensors(pl_module), strict=True):
                if not begun or not averaged.is_floating_point():
                    averaged.copy_(current)

    @staticmethod
    def _swap(trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for callback in _averaging(trainer):
            if callback._average_model is not None:
                callback._swap_models(pl_module)


def _averaging(trainer: L.Trainer) -> list[WeightAveraging]:
    return [callback for callback in trainer.callbacks if isinstance(callback, WeightAveraging)]  # type: ignore[attr-defined]


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return (tensor.detach() for tensor in itertools.chain(module.parameters(), module.buffers()))
