"""Progress on the screen: Lightning's rich bar with the names of this field, in one line of 80 columns."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import BatchesProcessedColumn, CustomBarColumn
from rich.progress import TextColumn, TimeRemainingColumn

SHOWN = {"train/loss": "loss", "val/loss": "val", "val/text_to_audio/mAP@10": "mAP@10"}


class ProgressBar(RichProgressBar):
    """A bar for each epoch beside the newest losses and the validation's mAP@10."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """What stands beside the bar, by its short name."""
        metrics = super().get_metrics(trainer, pl_module)
        return {short: metrics[name] for name, short in SHOWN.items() if name in metrics}

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Clear the bar away, before the results are printed."""
        super().on_test_end(trainer, pl_module)
        self._clear()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Clear the bar of `validate` away, before the results are printed."""
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == "validate":
            self._clear()

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Clear the bar away, before the place of the embeddings is printed."""
        super().on_predict_end(trainer, pl_module)
        self._clear()

    def _clear(self) -> None:
        if self.progress is not None:
            self.progress.live.transient = True  # the bar of a training stays, since it shows the newest losses
        self._stop_progress()

    def configure_columns(self, trainer: L.Trainer) -> list[Any]:
        """The epoch, a bar of 10 columns, batches, and the time that is left."""
        bar = CustomBarColumn(
            bar_width=10,
            complete_style=self.theme.progress_bar,
            finished_style=self.theme.progress_bar_finished,
            pulse_style=self.theme.progress_bar_pulse,
        )
        batches = BatchesProcessedColumn(style=self.theme.batch_progress)
        return [TextColumn("[progress.description]{task.description}"), bar, batches, TimeRemainingColumn()]
