"""Lightning's loop counters, read and set in this file alone.

They are no part of Lightning's public interface. What is here holds for lightning 2.6; tests stop and resume trainings,
and fail where the counters are missing or count otherwise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L


def begins_at(trainer: L.Trainer | None) -> tuple[int, int]:
    """The epoch in which a training begins or resumes, and how many of its batches are done; (0, 0) without a trainer.

    `ready` counts epochs that have begun, `processed` those that have ended: where they are equal, no epoch is under
    way, and the batches counted are those of the epoch before.
    """
    if trainer is None:
        return 0, 0
    epoch: Any = trainer.fit_loop.epoch_progress.current
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    return epoch.processed, batches.processed if epoch.ready > epoch.processed else 0


def finished_epochs(trainer: L.Trainer) -> int:
    """Epochs of training that have ended, their validations included."""
    counted: Any = trainer.fit_loop.epoch_progress.current
    return int(counted.processed)


def batches_done(trainer: L.Trainer) -> int:
    """Batches of the current epoch whose step has ended."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.current.completed)


def is_last_batch(trainer: L.Trainer) -> bool:
    """Whether the current batch is the last one of its epoch."""
    return bool(trainer.fit_loop.epoch_loop.batch_progress.is_last_batch)


def is_last_evaluation_batch(trainer: L.Trainer) -> bool:
    """Whether the current batch is the last one of a validation or a test."""
    return bool(trainer._evaluation_loop.batch_progress.is_last_batch)


def count_finished_epochs(trainer: L.Trainer) -> None:
    """Let an epoch that has ended count as finished with `max_steps` too; Lightning would count it once more."""
    trainer.fit_loop._iteration_based_training = lambda: False  # type: ignore[method-assign]


@contextmanager
def before_this_batch(trainer: L.Trainer) -> Iterator[None]:
    """Set the counters back to where they were before Lightning fetched the batch that is about to begin."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    is_last = progress.is_last_batch
    for count in (progress.total, progress.current):
        count.ready -= 1
    progress.is_last_batch = False
    try:
        yield
    finally:
        for count in (progress.total, progress.current):
            count.ready += 1
        progress.is_last_batch = is_last
