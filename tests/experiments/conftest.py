"""Runs that several test files read."""

from pathlib import Path

import pytest

from experiments.callbacks.result_writer import RunWriter
from experiments.loggers.csv_logger import MetricsLogger
from experiments.run_folder import RunFolder
from lightning_modules.dual_encoder import DualEncoder
from tests.support.compared import two_methods
from tests.support.tabled import STAGES, Tabled
from tests.support.tiny import tiny_model, tiny_trainer


@pytest.fixture(scope="package")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, dict[str, DualEncoder]]:
    """The folder of a run of two epochs, tested and validated, and the model after each of both."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "tiny [a]$b$" / "7")
    models = {}
    for split, stage in (("fit", "fit"), *STAGES.items()):
        callbacks = [RunWriter(folder, folder.path, seed=7)]
        logger = MetricsLogger(folder.path, "metrics.csv" if stage == "fit" else f"metrics_{stage}.csv")
        trainer = tiny_trainer(folder.path, max_epochs=2, logger=[logger], callbacks=callbacks, log_every_n_steps=1)
        models[split] = tiny_model()
        silent = {} if stage == "fit" else {"verbose": False}
        getattr(trainer, stage)(models[split], datamodule=Tabled(), **silent)
    return folder, models


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two methods of three runs on 26 recordings, the second the better one."""
    return two_methods(tmp_path)
