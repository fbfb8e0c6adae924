"""The callback that draws targets beside predictions after each validation."""

from typing import Any

import lightning as L

from experiments.callbacks.harmless import harmless
from experiments.figures.targets import heat_maps
from experiments.loggers.pictures import log_picture, takes_pictures
from experiments.results.pool_file import with_names
from experiments.run_folder import RunFolder


class Pictures(L.Callback):
    """Logs heat maps to Weights & Biases and TensorBoard; without such a logger, nothing. A failure becomes a warning.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.name = f"{folder.path.parent.name}-{folder.path.name}"

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log a heat map for each direction of the objective."""
        loggers = [logger for logger in trainer.loggers if takes_pictures(logger)]
        if not loggers or not trainer.is_global_zero or trainer.sanity_checking:
            return
        model: Any = pl_module
        with harmless("heat map", "Pictures"):
            training = trainer.state.fn == "fit"
            when = f", epoch {trainer.current_epoch}, step {trainer.global_step}" if training else ""
            table = trainer.datamodule.tables["validation"]  # type: ignore[attr-defined]
            maps = heat_maps(model, with_names(model.evaluation, table), self.name + when)
            for direction, figure in maps.items():
                log_picture(loggers, f"val/{direction}/targets_beside_predictions", figure, trainer.global_step)
