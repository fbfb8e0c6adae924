"""Files that are either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".*.part*"
"""Pattern of the files that `replacing` leaves where its process is killed."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, beside `path`, that replaces it when the block ends well, and is deleted when it does not.

    It keeps the ending of `path`, from which writers such as matplotlib know the format, and is of this process alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)
    except OSError as error:
        if error.filename in (None, str(beside)):  # none is given where the disk is full
            error.filename = str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)
