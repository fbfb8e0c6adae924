"""The checkpoints that every run keeps: the best one and the last, from which a killed run continues exactly."""

import math
import time
from pathlib import Path
from typing import Any, Literal

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from common.errors import RunError
from common.lightning_loops import (
    batches_done,
    before_this_batch,
    count_finished_epochs,
    is_last_batch,
)

CLOCK_EVERY = 20
"""Steps between two readings of the clock where there are several ranks."""


class RunCheckpoint(Checkpoint):
    """Writes `best.ckpt`, whenever a monitored value is the best so far, and `last.ckpt`.

    `last.ckpt` is written after each validation and each epoch, and during an epoch when `save_minutes` have passed
    since it was written last. Lightning's `ModelCheckpoint` cannot do that: it keeps the last one only where it is a
    best one, and within an epoch it saves before the step's values are logged, which a killed run then loses.

    Args:
        folder: of the checkpoints.
        monitor: name of a logged value.
        mode: whether its minimum ("min") or maximum ("max") is best.
        save_minutes: minutes of training between checkpoints within an epoch; None: none are written there.

    Raises:
        RunError: `save_minutes` is not above 0; or, after a validation, the monitored value was not logged.
    """

    def __init__(
        self, folder: Path, monitor: str, mode: Literal["min", "max"] | str, save_minutes: float | None = None
    ) -> None:
        if save_minutes is not None and not save_minutes > 0:
            raise RunError(f"run.save_minutes is {save_minutes}: give minutes above 0, or null")
        self.best, self.last = folder / "best.ckpt", folder / "last.ckpt"
        self.monitor, self.mode, self.save_minutes = monitor, mode, save_minutes
        self.best_model_score: float | None = None
        self._validated = False  # whether there was a validation since its score was last read
        self._saved_step = -1
        self._saved_at = time.monotonic()

    @property
    def state_key(self) -> str:
        """A constant, so that a config can add another checkpoint callback that monitors the same value."""
        return "RunCheckpoint"

    @property
    def best_model_path(self) -> str:
        """The best checkpoint, under the name that Lightning and its loggers know; empty before there is one."""
        return "" if self.best_model_score is None else str(self.best)

    def state_dict(self) -> dict[str, Any]:
        """The best value so far."""
        return {"best_model_score": self.best_model_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best value of an earlier process."""
        score = state_dict["best_model_score"]
        self.best_model_score = None if score is None else float(score)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Let an epoch that has ended count as finished with `max_steps` too."""
        count_finished_epochs(trainer)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End at once where early stopping had ended the training: Lightning would forget that."""
        for early in trainer.early_stopping_callbacks:
            if early.stopped_epoch > 0 or early.wait_count >= early.patience:
                trainer.should_stop = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Write `last.ckpt` in the middle of an epoch, when it is time: here the batch before has ended."""
        if batch_idx > 0 and _at_a_step(trainer, batch_idx) and self._is_due(trainer):
            with before_this_batch(trainer):
                self._write_last(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write both in the middle of an epoch; at its end more has to happen before they may be written."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._validated = True
        if not is_last_batch(trainer):
            self._write_best(trainer)
            if _at_a_step(trainer, batches_done(trainer)):
                self._write_last(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write both."""
        self._write_best(trainer)
        self._write_last(trainer)

    def _is_due(self, trainer: L.Trainer) -> bool:
        if self.save_minutes is None or trainer.global_step == self._saved_step:
            return False
        if trainer.world_size > 1 and trainer.global_step % CLOCK_EVERY:
            return False
        # The clocks of several ranks differ, so the first one decides; asking it at every step would slow down all.
        return trainer.strategy.broadcast(time.monotonic() - self._saved_at >= 60 * self.save_minutes)

    def _write_best(self, trainer: L.Trainer) -> None:
        if not self._validated:
            return
        self._validated = False
        if self.monitor not in trainer.callback_metrics:
            logged = ", ".join(sorted(name for name in trainer.callback_metrics if name.startswith("val/")))
            raise RunError(f"run.monitor is '{self.monitor}', which the validation did not log; it logged {logged}")
        worst = math.inf if self.mode == "min" else -math.inf
        score = float(trainer.callback_metrics[self.monitor])
        score = worst if math.isnan(score) else score
        before = self.best_model_score
        better = before is None or (score < before if self.mode == "min" else score > before)
        if trainer.strategy.broadcast(better):
            self.best_model_score = score
            self._write(trainer, self.best)

    def _write_last(self, trainer: L.Trainer) -> None:
        if trainer.global_step != self._saved_step:
            self._write(trainer, self.last)
            self._saved_step, self._saved_at = trainer.global_step, time.monotonic()

    def _write(self, trainer: L.Trainer, path: Path) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        for logger in trainer.loggers:
            logger.save()  # what was logged so far will not be logged again
        trainer.save_checkpoint(path, weights_only=False)


def _at_a_step(trainer: L.Trainer, batches: int) -> bool:
    """Whether the optimiser stepped after that many batches of an epoch; checkpoints hold no gradients."""
    return batches % trainer.accumulate_grad_batches == 0
