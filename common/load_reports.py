"""Transformers' report on how a checkpoint's tensors and a model's parts fit."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = "transformers.modeling_utils"
TITLE = "LOAD REPORT"
FAULTS = ("MISSING", "MISMATCH", "CONVERSION")


def says_more(record: logging.LogRecord) -> bool:
    """Whether a record of transformers says more than which tensors of a checkpoint a model has no use for.

    A report on faults is kept whole.
    """
    message = record.getMessage()
    return TITLE not in message or any(fault in message for fault in FAULTS)


@contextmanager
def without_unused() -> Iterator[None]:
    """Load models without reports on tensors that they leave unused, such as the heads of another task."""
    logger = logging.getLogger(LOGGER)
    logger.addFilter(says_more)
    try:
        yield
    finally:
        logger.removeFilter(says_more)
