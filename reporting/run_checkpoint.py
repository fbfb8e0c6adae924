"""The checkpoints that every run keeps: the best one and the last."""

from pathlib import Path

from lightning.pytorch.callbacks import ModelCheckpoint


class RunCheckpoint(ModelCheckpoint):
    """Keeps `best.ckpt`, by a monitored value, and `last.ckpt`, after each validation."""

    def __init__(self, folder: Path, monitor: str, mode: str) -> None:
        super().__init__(
            dirpath=folder,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_last=True,
            enable_version_counter=False,
            auto_insert_metric_name=False,
        )

    @property
    def state_key(self) -> str:
        """Of its own, so that a config can add another `ModelCheckpoint` that watches the same value."""
        return "RunCheckpoint"
