"""Whether a file still holds what was written: checksums that are compared before it is used."""

import functools
import zipfile
from pathlib import Path


def check_zip(path: Path) -> None:
    """Compare every part of a zip file, such as a torch checkpoint, with its CRC-32; some 3 GB a second.

    A file that was found whole is not read again as long as its size and date stay.

    Raises:
        ValueError: a part differs from what was written, or the file is not a zip file.
    """
    status = path.stat()
    _check_zip(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _check_zip(path: Path, size: int, modified: int) -> None:
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from error
    if damaged is not None:
        raise ValueError(f"its part {damaged} is not what was written")
