"""The callback that tests a run against its baseline."""

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from experiments.comparison.baseline import SPLIT, TESTED, check_same_data, logged_values
from experiments.comparison.paired_tests import compare_experiments
from experiments.comparison.text import conclusion, lines_of
from experiments.results.experiment import Experiment, read_experiment
from experiments.run_folder import RunFolder


class BaselineTest(L.Callback):
    """Prints and logs paired tests against a baseline after each test.

    It stands after `RunWriter` among the callbacks, whose file it reads.

    Args:
        folder: the run folder.
        baseline: finished runs.
    """

    def __init__(self, folder: RunFolder, baseline: Experiment) -> None:
        self.folder, self.baseline = folder, baseline

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse a baseline of other recordings, before anything is trained where the test split is known by then.

        Raises:
            RunError: it is one.
        """
        data = trainer.datamodule  # type: ignore[attr-defined]
        if stage in ("fit", "test") and data.has_split(SPLIT):
            table = data.tables[SPLIT] if SPLIT in data.tables else data.read_split(SPLIT)
            check_same_data(self.baseline, table.manifest())

    @rank_zero_only
    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Test, print and log, unless only a part of the split was evaluated, whose results are not kept."""
        evaluation = pl_module.evaluation
        if len(evaluation.pool.audio_ids) < len(trainer.datamodule.tables[SPLIT].audio):  # type: ignore[attr-defined, union-attr, arg-type]
            return
        tests = compare_experiments([self.baseline, read_experiment(self.folder.path, SPLIT)], TESTED)
        for logger in trainer.loggers:
            logger.log_metrics(logged_values(tests), step=trainer.global_step)
            logger.save()
        for test in tests:
            print(*lines_of(test, len(tests)), sep="\n")
        print(conclusion(tests))
