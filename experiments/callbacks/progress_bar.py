"""Progress on the screen: Lightning's rich bar with the names of this field, short enough for a terminal."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

SHOWN = {"train/loss": "loss", "val/loss": "val loss", "val/text_to_audio/mAP@10": "val mAP@10"}


class ProgressBar(RichProgressBar):
    """A bar for each epoch beside the newest losses and the validation's mAP@10."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """What stands beside the bar, by its short name."""
        metrics = super().get_metrics(trainer, pl_module)
        return {short: metrics[name] for name, short in SHOWN.items() if name in metrics}
