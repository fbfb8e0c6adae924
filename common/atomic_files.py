"""Files that are either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import DataError

UNFINISHED = ".*.part*"
"""Pattern of the files that `replacing` leaves where its process is killed."""

OURS = (".lock", "plan.json")
"""What a folder holds from the moment that a command fills it."""


def check_free(folder: Path, *patterns: str) -> None:
    """Whether files of these names can be written into a folder: a user's own would be lost.

    Raises:
        DataError: it holds such a file, and none that a command like this one leaves from its beginning on.
    """
    if any((folder / name).exists() for name in OURS):
        return
    for found in (path for pattern in patterns for path in sorted(folder.glob(pattern))):
        raise DataError(f"{found}: is of something else, and would be written over; move it, or give another folder")


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
