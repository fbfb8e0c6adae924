"""What may fail without ending a training."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from common.text import one_line

log = logging.getLogger(__name__)


@contextmanager
def harmless(what: str, where: str = "Weights & Biases") -> Iterator[None]:
    """Turn any failure inside into a warning: a dashboard must not end a training run."""
    try:
        yield
    except Exception as error:
        log.warning("%s: no %s (%s: %s)", where, what, type(error).__name__, one_line(error))
