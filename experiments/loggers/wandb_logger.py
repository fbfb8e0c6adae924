"""The Weights & Biases run that a run folder is logged to."""

import logging
import os
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger

from common.text import cause_of
from experiments.run_folder import RunFolder

log = logging.getLogger(__name__)


class RunLogger(WandbLogger):
    """Lightning's W&B logger, but offline where there is no account, or no server when the run begins.

    WANDB_MODE, where it is set, decides instead.
    """

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, begun at the first call."""
        import wandb

        options = self._wandb_init
        options.pop("anonymous", None)  # Lightning hands it on, and W&B warns of it
        if options.get("mode") is None:
            has_account = os.environ.get("WANDB_MODE") is None and wandb.login(prompt=False, verify=False)
            options["mode"] = os.environ.get("WANDB_MODE") or ("online" if has_account else "offline")
        try:
            return super().experiment
        except wandb.Error as error:
            if options["mode"] == "offline":
                raise
            log.warning(
                "Weights & Biases cannot be used (%s); the run is written offline (WANDB_MODE=offline asks for that)",
                cause_of(error),
            )
            options["mode"] = "offline"
            return super().experiment


def id_file(folder: RunFolder) -> Path:
    """Where the id of the W&B run that `fit` was logged to is kept."""
    return folder.path / "wandb_run_id"


def wandb_logger(project: str, folder: RunFolder, job_type: str, *, resume: bool = False) -> RunLogger:
    """A logger to a run that is grouped by experiment, named by seed, and of the job type "fit", "test" or "validate".

    A resumed `fit` continues its run; `test` and `validate` are runs of their own in the same group.
    """
    import wandb

    experiment, seed = folder.path.parent.name, folder.path.name
    known = resume and "WANDB_RUN_ID" not in os.environ and id_file(folder).is_file()  # an agent names its runs itself
    folder.path.mkdir(parents=True, exist_ok=True)
    return RunLogger(
        project=project,
        group=experiment,
        name=f"{experiment}-{seed}" + ("" if job_type == "fit" else f"-{job_type}"),
        job_type=job_type,
        id=id_file(folder).read_text().strip() if known else None,
        save_dir=folder.path,
        settings=wandb.Settings(quiet=True),  # its summary at the end is long, and ours is printed already
    )
