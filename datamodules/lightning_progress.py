"""Where a training stands, read from Lightning's loop counters: they are not part of its public interface.

Holds for Lightning 2.5 and 2.6. tests/datamodules/test_lightning_progress.py stops and resumes a training, and fails
where a version counts otherwise.
"""

from typing import Any

import lightning as L


def batches_done(trainer: L.Trainer | None) -> tuple[int, int]:
    """The epoch in which a training begins or resumes, and how many of its batches are done; (0, 0) without a trainer.

    `ready` counts epochs that have begun, `processed` those that have ended: where they are equal, no epoch is under
    way, and the batches counted are those of the epoch before.
    """
    if trainer is None:
        return 0, 0
    epoch: Any = trainer.fit_loop.epoch_progress.current
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    return epoch.processed, batches.processed if epoch.ready > epoch.processed else 0
