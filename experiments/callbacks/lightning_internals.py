"""Where Lightning's loop counters are read and set."""

from collections.abc import Iterator
from contextlib import contextmanager

import lightning as L


@contextmanager
def _before_this_batch(trainer: L.Trainer) -> Iterator[None]:
    """Set Lightning's counters back to where they were before it fetched the batch that is about to begin."""
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
